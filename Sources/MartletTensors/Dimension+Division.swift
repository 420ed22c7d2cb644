extension Dimension {
  /// The quotient rounded towards negative infinity. It is undefined where the divisor is zero.
  public func floorDivided(by divisor: Dimension) -> Dimension {
    if let d = divisor.known {
      if d == 0 || d == .min { return .fresh() }
      if d == 1 { return self }
      if d < 0 { return (-self).floorDivided(by: Dimension(-d)) }
      if let x = known { return Dimension(floorQuotient(x, d)) }
      return floorDivided(byPositive: d)
    }
    if known == 0 { return 0 }
    if let quotient = exactlyDivided(by: divisor) { return quotient }
    guard let lead = divisor.terms.first, divisor.terms.count == 1 else {
      return Dimension(atom: .floorQuotient(self, divisor))
    }
    // Terms that the divisor divides come out whole: floor((d*q + r) / d) = q + floor(r / d).
    var (whole, rest): ([Term], [Term]) = ([], [])
    for term in terms {
      if let quotient = term.exactlyDivided(by: lead) { whole.append(quotient) } else { rest.append(term) }
    }
    return Dimension(ordered: whole) + Dimension(atom: .floorQuotient(Dimension(ordered: rest), divisor))
  }

  /// The quotient by a known divisor greater than one, in normal form.
  private func floorDivided(byPositive divisor: Int) -> Dimension {
    // Each coefficient c = d*k + m gives k whole and leaves 0 <= m < d.
    var (whole, rest): ([Term], [Term]) = ([], [])
    for term in terms {
      let k = floorQuotient(term.coefficient, divisor)
      whole.append(Term(coefficient: k, factors: term.factors))
      rest.append(Term(coefficient: term.coefficient - k * divisor, factors: term.factors))
    }
    let quotient = Dimension(ordered: whole)
    let remainder = Dimension(ordered: rest)
    guard remainder.known == nil else { return quotient }  // A known remainder is less than the divisor.
    return quotient + Self.reducedQuotient(remainder, divisor)
  }

  /// The quotient of a dimension whose coefficients lie between 0 and the divisor.
  private static func reducedQuotient(_ dividend: Dimension, _ divisor: Int) -> Dimension {
    let terms = dividend.terms
    let constant = terms.last.flatMap { $0.isConstant ? $0.coefficient : nil } ?? 0
    let variable = terms.filter { !$0.isConstant }
    // floor((g*y + k) / (g*c)) = floor((y + floor(k / g)) / c)
    let common = variable.reduce(divisor) { greatestCommonDivisor($0, $1.coefficient) }
    if common > 1 {
      let reduced = Dimension(
        ordered: variable.map { Term(coefficient: $0.coefficient / common, factors: $0.factors) })
      return (reduced + constant / common).floorDivided(by: Dimension(divisor / common))
    }
    // floor((floor(x / a) + k) / b) = floor((x + k*a) / (a*b)) for positive a and b.
    if variable.count == 1, variable[0].coefficient == 1, variable[0].factors.count == 1,
      variable[0].factors[0].power == 1,
      case .floorQuotient(let inner, let innerDivisor) = variable[0].factors[0].atom.form,
      let a = innerDivisor.known, a > 0,
      case let (product, overflow) = a.multipliedReportingOverflow(by: divisor), !overflow
    {
      return (inner + Dimension(constant) * a).floorDivided(by: Dimension(product))
    }
    return Dimension(atom: .floorQuotient(dividend, Dimension(divisor)))
  }

  /// The quotient rounded towards positive infinity. It is undefined where the divisor is zero.
  public func ceilDivided(by divisor: Dimension) -> Dimension {
    guard known == nil, let d = divisor.known, d != .min else { return -(-self).floorDivided(by: divisor) }
    // One form for both roundings, so that ceil(x / 2) equals floor((x - 1) / 2) + 1.
    return d < 0 ? (-self).ceilDivided(by: -d) : (self + (d - 1)).floorDivided(by: divisor)
  }

  /// What floor division leaves: `self - divisor * self.floorDivided(by: divisor)`, which has the divisor's sign.
  public func modulo(_ divisor: Dimension) -> Dimension {
    if divisor.known == 0 { return .fresh() }
    return self - divisor * floorDivided(by: divisor)
  }

  /// The dimension that gives this one when multiplied by the divisor, or nil where none can be shown to exist.
  ///
  /// `(b * s * 784).exactlyDivided(by: b * 28)` is `s * 28`.
  public func exactlyDivided(by divisor: Dimension) -> Dimension? {
    if let x = known, let d = divisor.known {
      guard d != 0, case let (quotient, overflow) = x.dividedReportingOverflow(by: d), !overflow else { return nil }
      return quotient * d == x ? Dimension(quotient) : nil
    }
    guard let lead = divisor.terms.first else { return nil }
    var remainder = self
    var quotient: [Term] = []
    // Each step removes the leading term; the bound only guards against expressions that are not worth the time.
    for _ in 0..<256 {
      guard let term = remainder.terms.first else { return Dimension(ordered: quotient) }
      guard let step = term.exactlyDivided(by: lead) else { return nil }
      quotient.append(step)
      let product = Dimension(ordered: [step]) * divisor
      let next = remainder - product
      if let following = next.terms.first, Term.compare(term, following) != .before { return nil }
      remainder = next
    }
    return nil
  }

  public func floorDivided(by divisor: Int) -> Dimension { floorDivided(by: Dimension(divisor)) }
  public func ceilDivided(by divisor: Int) -> Dimension { ceilDivided(by: Dimension(divisor)) }
  public func exactlyDivided(by divisor: Int) -> Dimension? { exactlyDivided(by: Dimension(divisor)) }
  public func modulo(_ divisor: Int) -> Dimension { modulo(Dimension(divisor)) }
}

/// The quotient rounded towards negative infinity, for a positive divisor.
private func floorQuotient(_ a: Int, _ b: Int) -> Int {
  let (quotient, remainder) = a.quotientAndRemainder(dividingBy: b)
  return remainder < 0 ? quotient - 1 : quotient
}

private func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
  var (a, b) = (a, b)
  while b != 0 { (a, b) = (b, a % b) }
  return a
}
