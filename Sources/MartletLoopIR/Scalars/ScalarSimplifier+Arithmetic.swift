import MartletTensors

extension ScalarSimplifier {
  // MARK: One operand

  mutating func unary(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID? {
    let x = row.operand(0)
    let inner = arena[x]
    switch row.operation {
    case .negate:
      if inner.operation == .negate { return inner.operand(0) }
      return row.type == .int64 ? affine(AffineForm(x, in: arena).multiplied(by: -1), in: &arena) : nil
    case .absolute:
      if inner.operation == .absolute { return x }
      if inner.operation == .negate { return make(.absolute, row.type, inner.operand(0), in: &arena) }
      return !row.type.isFloatingPoint && range(of: x, in: arena).lower >= 0 ? x : nil
    case .floor, .ceil, .round:
      let isWhole =
        !row.type.isFloatingPoint || inner.operation == .floor || inner.operation == .ceil || inner.operation == .round
        || (inner.operation == .cast && !arena.type(of: inner.operand(0)).isFloatingPoint)
      return isWhole ? x : nil
    case .isNaN, .isInfinite:
      return inner.type.isFloatingPoint ? nil : constant(0, .bool, in: &arena)
    case .isFinite:
      return inner.type.isFloatingPoint ? nil : constant(1, .bool, in: &arena)
    default: return nil
    }
  }

  // MARK: Floats

  /// Rules that hold for every IEEE value, infinities, NaN and both zeros included.
  mutating func floats(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID? {
    let (x, y) = (row.operand(0), row.operand(1))
    if x == y, row.operation == .minimum || row.operation == .maximum { return x }
    guard let known = number(of: y, in: arena) else { return nil }
    switch row.operation {
    case .add: return known == 0 && known.sign == .minus ? x : nil
    case .subtract: return known == 0 && known.sign == .plus ? x : nil
    case .multiply:
      return known == 1 ? x : known == -1 ? make(.negate, row.type, x, in: &arena) : nil
    case .divide:
      if known == 1 { return x }
      // A power of two has an exact reciprocal, unless that is subnormal or infinite.
      let magnitude = known.magnitude
      guard magnitude.isNormal, magnitude.significand == 1, magnitude >= 0x1p-100, magnitude <= 0x1p100 else {
        return nil
      }
      let bits = ScalarEvaluator.bits(lane: (1 / known).bitPattern, row.type)
      return make(.multiply, row.type, x, constant(bits, row.type, in: &arena), in: &arena)
    case .power:
      if known == 1 { return x }
      if known == 2 { return make(.multiply, row.type, x, x, in: &arena) }
      if known == -1 { return make(.reciprocal, row.type, x, in: &arena) }
      return nil
    default: return nil
    }
  }

  // MARK: Integers

  mutating func integers(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID? {
    let (x, y) = (row.operand(0), row.operand(1))
    let known = value(of: y, in: arena)
    switch row.operation {
    case .add, .subtract, .multiply:
      if row.type == .int64, let simpler = affine(row, in: &arena) { return simpler }
      return sumOrProduct(row, in: &arena)
    case .divide, .floorDivide, .floorModulo:
      return division(row, in: &arena)
    case .minimum, .maximum:
      if x == y { return x }
      let (a, b) = (range(of: x, in: arena), range(of: y, in: arena))
      if a.upper <= b.lower { return row.operation == .minimum ? x : y }
      if b.upper <= a.lower { return row.operation == .minimum ? y : x }
      return nil
    case .shiftLeft, .shiftRightLogical:
      return known.map { $0 & Int64(row.type.byteWidth * 8 - 1) } == 0 ? x : nil
    case .power:
      return known == 1 ? x : known == 2 ? make(.multiply, row.type, x, x, in: &arena) : nil
    default: return nil
    }
  }

  /// Identities of wrapping arithmetic that hold at every width.
  private mutating func sumOrProduct(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID? {
    let (x, y) = (row.operand(0), row.operand(1))
    if row.operation == .subtract, x == y { return constant(0, row.type, in: &arena) }
    guard let known = value(of: y, in: arena) else { return nil }
    let inner = arena[x]
    switch row.operation {
    case .subtract:
      let negated = ScalarEvaluator.lane(bits: 0 &- known, row.type)
      return make(.add, row.type, x, constant(Int64(bitPattern: negated), row.type, in: &arena), in: &arena)
    case .add, .multiply:
      if known == (row.operation == .add ? 0 : 1) { return x }
      if known == 0 { return y }
      // (x ∘ c) ∘ d = x ∘ (c ∘ d)
      guard inner.operation == row.operation, arena[inner.operand(1)].operation == .constant else { return nil }
      let both = make(row.operation, row.type, inner.operand(1), y, in: &arena)
      return make(row.operation, row.type, inner.operand(0), both, in: &arena)
    default: return nil
    }
  }

  private mutating func division(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID? {
    let (x, y) = (row.operand(0), row.operand(1))
    guard let divisor = value(of: y, in: arena) else { return nil }
    let isModulo = row.operation == .floorModulo
    if divisor == 1 { return isModulo ? constant(0, row.type, in: &arena) : x }
    if divisor == 0 { return constant(0, row.type, in: &arena) }
    guard divisor > 0 else { return nil }
    let range = range(of: x, in: arena)
    if row.operation == .divide {
      return range.lower >= 0 ? make(.floorDivide, row.type, x, y, in: &arena) : nil
    }
    if range.lower >= 0, range.upper < divisor { return isModulo ? x : constant(0, row.type, in: &arena) }
    guard row.type == .int64 else { return nil }
    return isModulo ? modulo(x, divisor, in: &arena) : quotient(x, divisor, in: &arena)
  }

  // MARK: Comparisons

  mutating func comparison(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID? {
    let (x, y) = (row.operand(0), row.operand(1))
    let type = arena.type(of: x)
    if type.isFloatingPoint { return nil }
    if x == y {
      return constant(row.operation == .equal || row.operation == .lessEqual ? 1 : 0, .bool, in: &arena)
    }
    if type == .bool, let known = value(of: y, in: arena), row.operation == .equal || row.operation == .notEqual {
      return (known != 0) == (row.operation == .equal) ? x : make(.not, .bool, x, in: &arena)
    }
    guard let difference = difference(x, y, type, in: arena) else { return nil }
    switch row.operation {
    case .less where difference.upper < 0, .lessEqual where difference.upper <= 0:
      return constant(1, .bool, in: &arena)
    case .less where difference.lower >= 0, .lessEqual where difference.lower > 0:
      return constant(0, .bool, in: &arena)
    case .equal where difference.lower > 0 || difference.upper < 0: return constant(0, .bool, in: &arena)
    case .notEqual where difference.lower > 0 || difference.upper < 0: return constant(1, .bool, in: &arena)
    case .equal where difference == ScalarRange(0): return constant(1, .bool, in: &arena)
    case .notEqual where difference == ScalarRange(0): return constant(0, .bool, in: &arena)
    default: return row.type == .bool && type == .int64 ? normalized(row, in: &arena) : nil
    }
  }

  /// The range of x − y as a mathematical number.
  private mutating func difference(_ x: ScalarID, _ y: ScalarID, _ type: ElementType, in arena: ScalarArena)
    -> ScalarRange?
  {
    let plain = range(of: x, in: arena).subtracting(range(of: y, in: arena))
    guard type == .int64 else { return plain }
    let (a, b) = (AffineForm(x, in: arena), AffineForm(y, in: arena))
    // The forms stand for the values themselves only where neither wraps.
    guard range(of: a, in: arena) != nil, range(of: b, in: arena) != nil else { return plain }
    var form = a
    form.add(b, times: -1)
    return range(of: form, in: arena) ?? plain
  }

  /// With a constant on one side of an int64 comparison: x ≤ c as x < c + 1, and x + d < c as x < c − d.
  private mutating func normalized(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID? {
    let (x, y) = (row.operand(0), row.operand(1))
    if row.operation == .lessEqual {
      if let c = value(of: y, in: arena), c < .max {
        return make(.less, .bool, x, constant(c + 1, .int64, in: &arena), in: &arena)
      }
      if let c = value(of: x, in: arena), c > .min {
        return make(.less, .bool, constant(c - 1, .int64, in: &arena), y, in: &arena)
      }
    }
    let isOnRight = arena[y].operation == .constant
    guard isOnRight || arena[x].operation == .constant, row.operation != .lessEqual else { return nil }
    var form = AffineForm(isOnRight ? x : y, in: arena)
    let offset = form.constant
    guard offset != 0, !form.terms.isEmpty, range(of: form, in: arena) != nil else { return nil }
    form.constant = 0
    guard range(of: form, in: arena) != nil, let c = value(of: isOnRight ? y : x, in: arena) else { return nil }
    let (moved, overflow) = c.subtractingReportingOverflow(offset)
    if overflow { return nil }
    let bound = constant(moved, .int64, in: &arena)
    let rest = build(form, in: &arena)
    return isOnRight
      ? make(row.operation, .bool, rest, bound, in: &arena) : make(row.operation, .bool, bound, rest, in: &arena)
  }
}
