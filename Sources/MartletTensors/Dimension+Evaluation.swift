extension Dimension {
  /// The symbols that the value depends on, in increasing order.
  public var symbols: [Symbol] {
    var found: Set<Symbol> = []
    collectSymbols(into: &found)
    return found.sorted()
  }

  private func collectSymbols(into found: inout Set<Symbol>) {
    for term in terms {
      for factor in term.factors {
        switch factor.atom.form {
        case .symbol(let symbol): found.insert(symbol)
        case .floorQuotient(let a, let b), .minimum(let a, let b), .maximum(let a, let b), .product(let a, let b):
          a.collectSymbols(into: &found)
          b.collectSymbols(into: &found)
        }
      }
    }
  }

  /// The dimension with symbols replaced by the dimensions given for them; symbols that have none stay.
  public func substituting(_ replacements: [Symbol: Dimension]) -> Dimension {
    guard case .symbolic(let polynomial) = representation, !replacements.isEmpty else { return self }
    return polynomial.terms.reduce(Dimension(0)) { sum, term in
      sum
        + term.factors.reduce(Dimension(term.coefficient)) { product, factor in
          let base = factor.atom.substituting(replacements)
          return (0..<factor.power).reduce(product) { product, _ in product * base }
        }
    }
  }

  /// The value for these values of the symbols, or nil where a symbol has none, a result does not fit in `Int`, or a
  /// divisor is zero.
  public func evaluated(_ values: [Symbol: Int]) -> Int? {
    guard case .symbolic(let polynomial) = representation else { return known }
    var sum = 0
    for term in polynomial.terms {
      var product = term.coefficient
      for factor in term.factors {
        guard let base = factor.atom.evaluated(values) else { return nil }
        for _ in 0..<factor.power {
          let (next, overflow) = product.multipliedReportingOverflow(by: base)
          if overflow { return nil }
          product = next
        }
      }
      let (next, overflow) = sum.addingReportingOverflow(product)
      if overflow { return nil }
      sum = next
    }
    return sum
  }
}

extension Dimension.Atom {
  fileprivate func substituting(_ replacements: [Dimension.Symbol: Dimension]) -> Dimension {
    switch form {
    case .symbol(let symbol): replacements[symbol] ?? Dimension(symbol)
    case .floorQuotient(let a, let b):
      a.substituting(replacements).floorDivided(by: b.substituting(replacements))
    case .minimum(let a, let b): a.substituting(replacements).min(b.substituting(replacements))
    case .maximum(let a, let b): a.substituting(replacements).max(b.substituting(replacements))
    case .product(let a, let b): a.substituting(replacements) * b.substituting(replacements)
    }
  }

  fileprivate func evaluated(_ values: [Dimension.Symbol: Int]) -> Int? {
    switch form {
    case .symbol(let symbol): return values[symbol]
    case .floorQuotient(let a, let b):
      guard let a = a.evaluated(values), let b = b.evaluated(values) else { return nil }
      guard b != 0, case let (quotient, overflow) = a.dividedReportingOverflow(by: b), !overflow else { return nil }
      return quotient * b != a && (a < 0) != (b < 0) ? quotient - 1 : quotient
    case .minimum(let a, let b):
      guard let a = a.evaluated(values), let b = b.evaluated(values) else { return nil }
      return min(a, b)
    case .maximum(let a, let b):
      guard let a = a.evaluated(values), let b = b.evaluated(values) else { return nil }
      return max(a, b)
    case .product(let a, let b):
      guard let a = a.evaluated(values), let b = b.evaluated(values) else { return nil }
      let (product, overflow) = a.multipliedReportingOverflow(by: b)
      return overflow ? nil : product
    }
  }
}
