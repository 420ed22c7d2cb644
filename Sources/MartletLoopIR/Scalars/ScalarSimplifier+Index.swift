import MartletTensors

/// Index arithmetic on affine forms.
extension ScalarSimplifier {
  /// The row for a form: a sum of multiples in the order of the atoms, its constant last.
  mutating func build(_ form: AffineForm, in arena: inout ScalarArena) -> ScalarID {
    var sum: ScalarID?
    for term in form.terms {
      var product = term.atom
      if term.coefficient != 1 {
        let factor = constant(term.coefficient, .int64, in: &arena)
        product = arena.intern(ScalarRow(.multiply, .int64, [product, factor]))
      }
      sum = sum.map { arena.intern(ScalarRow(.add, .int64, $0 < product ? [$0, product] : [product, $0])) } ?? product
    }
    guard form.constant != 0 || sum == nil else { return sum! }
    let last = constant(form.constant, .int64, in: &arena)
    return sum.map { arena.intern(ScalarRow(.add, .int64, [$0, last])) } ?? last
  }

  /// The sum, difference or product of int64 operands as a form, where that is simpler or pure index arithmetic.
  mutating func affine(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID? {
    var form = AffineForm(row.operand(0), in: arena)
    var size = form.size
    if row.operation == .multiply {
      guard let factor = value(of: row.operand(1), in: arena) else { return nil }
      form = form.multiplied(by: factor)
      // Distributing a factor over what is not an index saves nothing.
      guard size <= 1 || isIndex(form, in: arena) else { return nil }
    } else {
      let other = AffineForm(row.operand(1), in: arena)
      size += other.size
      form.add(other, times: row.operation == .add ? 1 : -1)
      guard form.size < size || isIndex(form, in: arena) else { return nil }
    }
    return affine(form, in: &arena)
  }

  /// The row for a form after quotients and remainders of the same division are put together.
  mutating func affine(_ form: AffineForm, in arena: inout ScalarArena) -> ScalarID {
    build(recombined(form, in: &arena), in: &arena)
  }

  /// Whether no term is data: a load, or what was computed from one other than by division.
  private func isIndex(_ form: AffineForm, in arena: ScalarArena) -> Bool {
    form.terms.count <= 8
      && form.terms.allSatisfy {
        switch arena[$0.atom].operation {
        case .axis, .parameter, .floorDivide, .floorModulo, .checkIndex: true
        default: false
        }
      }
  }

  /// Replaces k·c·(x div c) + k·(x mod c) by k·x.
  private mutating func recombined(_ form: AffineForm, in arena: inout ScalarArena) -> AffineForm {
    var form = form
    var changed = true
    while changed {
      changed = false
      for term in form.terms {
        let row = arena[term.atom]
        guard row.operation == .floorModulo, let divisor = value(of: row.operand(1), in: arena), divisor > 0 else {
          continue
        }
        let (wanted, overflow) = divisor.multipliedReportingOverflow(by: term.coefficient)
        if overflow { continue }
        let quotient = AffineForm(make(.floorDivide, .int64, row.operand(0), row.operand(1), in: &arena), in: arena)
        guard quotient.constant == 0, !quotient.terms.isEmpty,
          quotient.terms.allSatisfy({ form.coefficient(of: $0.atom) == wanted &* $0.coefficient })
        else { continue }
        form.add(quotient, times: 0 &- wanted)
        form.add(term.atom, times: 0 &- term.coefficient)
        form.add(AffineForm(row.operand(0), in: arena), times: term.coefficient)
        changed = true
        break
      }
    }
    return form
  }

  /// A form in terms of a divisor: form = quotient · divisor + rest, where no term of the rest is a multiple.
  private func split(_ form: AffineForm, by divisor: Int64) -> (quotient: AffineForm, rest: AffineForm) {
    var quotient = AffineForm(constant: ScalarEvaluator.floorDivide(form.constant, divisor))
    var rest = AffineForm(constant: ScalarEvaluator.floorModulo(form.constant, divisor))
    for term in form.terms {
      if term.coefficient % divisor == 0 {
        quotient.add(term.atom, times: term.coefficient / divisor)
      } else {
        rest.add(term.atom, times: term.coefficient)
      }
    }
    return (quotient, rest)
  }

  /// A form as g·scaled + rest with 0 ≤ rest < g, for the greatest such g > 1 that divides `number`.
  private mutating func scaled(_ form: AffineForm, dividing number: Int64, in arena: ScalarArena)
    -> (factor: Int64, scaled: AffineForm, rest: AffineForm)?
  {
    var candidates: [Int64] = []
    for term in form.terms {
      var (a, b) = (UInt64(number), term.coefficient.magnitude)
      while b != 0 { (a, b) = (b, a % b) }
      if a > 1, !candidates.contains(Int64(a)) { candidates.append(Int64(a)) }
    }
    for factor in candidates.sorted(by: >) {
      let (scaled, rest) = split(form, by: factor)
      if let range = range(of: rest, in: arena), range.lower >= 0, range.upper < factor {
        return (factor, scaled, rest)
      }
    }
    return nil
  }

  /// x div c, for c > 1, in a simpler form, or nil.
  mutating func quotient(_ x: ScalarID, _ divisor: Int64, in arena: inout ScalarArena) -> ScalarID? {
    let form = AffineForm(x, in: arena)
    guard range(of: form, in: arena) != nil else { return nil }
    var (quotient, rest) = split(form, by: divisor)
    guard let range = range(of: rest, in: arena) else { return nil }
    let block = ScalarEvaluator.floorDivide(range.lower, divisor)
    if block == ScalarEvaluator.floorDivide(range.upper, divisor) {
      quotient.constant += block
      return affine(quotient, in: &arena)
    }
    if quotient.size > 0 {
      let remaining = build(rest, in: &arena)
      let part = make(.floorDivide, .int64, remaining, constant(divisor, .int64, in: &arena), in: &arena)
      quotient.add(AffineForm(part, in: arena))
      return affine(quotient, in: &arena)
    }
    // (x + r div g) div c = (g·x + r) div (g·c)
    for term in rest.terms where term.coefficient == 1 && arena[term.atom].operation == .floorDivide {
      let inner = arena[term.atom]
      guard let factor = value(of: inner.operand(1), in: arena), factor > 0 else { continue }
      let (product, overflow) = factor.multipliedReportingOverflow(by: divisor)
      rest.add(term.atom, times: -1)
      var whole = rest.multiplied(by: factor)
      whole.add(AffineForm(inner.operand(0), in: arena))
      guard !overflow, self.range(of: whole, in: arena) != nil else { return nil }
      let numerator = affine(whole, in: &arena)
      return make(.floorDivide, .int64, numerator, constant(product, .int64, in: &arena), in: &arena)
    }
    // (g·x + r) div (g·c) = x div c, for 0 ≤ r < g
    guard let parts = scaled(rest, dividing: divisor, in: arena) else { return nil }
    let numerator = affine(parts.scaled, in: &arena)
    return make(.floorDivide, .int64, numerator, constant(divisor / parts.factor, .int64, in: &arena), in: &arena)
  }

  /// x mod c, for c > 1, in a simpler form, or nil.
  mutating func modulo(_ x: ScalarID, _ divisor: Int64, in arena: inout ScalarArena) -> ScalarID? {
    let inner = arena[x]
    // (x mod (c · d)) mod c = x mod c
    if inner.operation == .floorModulo, let first = value(of: inner.operand(1), in: arena), first > 0,
      first % divisor == 0
    {
      return make(.floorModulo, .int64, inner.operand(0), constant(divisor, .int64, in: &arena), in: &arena)
    }
    let form = AffineForm(x, in: arena)
    guard range(of: form, in: arena) != nil else { return nil }
    let quotient = split(form, by: divisor).quotient
    var rest = split(form, by: divisor).rest
    guard let range = range(of: rest, in: arena) else { return nil }
    let block = ScalarEvaluator.floorDivide(range.lower, divisor)
    if block == ScalarEvaluator.floorDivide(range.upper, divisor) {
      let (offset, overflow) = block.multipliedReportingOverflow(by: divisor)
      if overflow { return nil }
      rest.constant -= offset
      return affine(rest, in: &arena)
    }
    // (g·x + r) mod (g·c) = g·(x mod c) + r, for 0 ≤ r < g
    if let parts = scaled(rest, dividing: divisor, in: arena) {
      let numerator = affine(parts.scaled, in: &arena)
      let part = make(
        .floorModulo, .int64, numerator, constant(divisor / parts.factor, .int64, in: &arena), in: &arena)
      var result = AffineForm(part, in: arena).multiplied(by: parts.factor)
      result.add(parts.rest)
      return affine(result, in: &arena)
    }
    if quotient.size > 0 {
      let remaining = build(rest, in: &arena)
      return make(.floorModulo, .int64, remaining, constant(divisor, .int64, in: &arena), in: &arena)
    }
    return nil
  }
}
