import MartletTensors

/// Appends scalar expressions to an arena.
///
/// Operands of one operation have one element type, except where a method says otherwise. Comparisons give `bool`.
///
/// ```swift
/// // softplus(x) = max(x, 0) + log1p(exp(-|x|))
/// let zero = b.constant(0, x.type)
/// let y = b.add(b.maximum(x, zero), b.log1p(b.exp(b.negate(b.absolute(x)))))
/// ```
///
/// Rows are simplified as they are added; see `ScalarSimplifier`. Arithmetic on a type of 16 bits becomes arithmetic on
/// `float32` and a rounding of its result, which is left out again where the next operation would undo it: what is built in
/// one piece is rounded once, where it is stored. A `cast` always rounds.
public struct ScalarBuilder: Sendable {
  /// The rows so far. Rows that are interned here directly stay as they are.
  public var arena: ScalarArena
  private var simplifier = ScalarSimplifier()

  public init(_ arena: ScalarArena = ScalarArena()) { self.arena = arena }

  /// The extents of the axes by number, where known: what is built next may be simplified by what follows from them, and
  /// is then good only where the axes have these extents.
  public var axisExtents: [Int?] {
    get { simplifier.axisExtents }
    set { simplifier.axisExtents = newValue }
  }

  // MARK: Leaves

  /// The number `value` as an element of `type`, converted as `cast` does. Arithmetic in a type of 16 bits uses the number in
  /// `float32`.
  public mutating func constant(_ value: Double, _ type: ElementType) -> Scalar {
    if type.isHalf { return narrow(constant(value, .float32), to: type) }
    if type.isFloatingPoint { return constant(bits: ScalarEvaluator.bits(lane: value.bitPattern, type), type) }
    return constant(bits: type == .bool ? (value != 0 ? 1 : 0) : ScalarEvaluator.saturated(value, type), type)
  }

  /// A constant by its bits, as `ScalarOperation.constant` lays them out; integers wrap to the width.
  public mutating func constant(bits: Int64, _ type: ElementType) -> Scalar {
    let payload =
      type.isFloatingPoint ? bits : ScalarEvaluator.bits(lane: ScalarEvaluator.lane(bits: bits, type), type)
    return row(.constant, type, payload: payload)
  }
  public mutating func integer(_ value: Int, _ type: ElementType = .int64) -> Scalar {
    type.isFloatingPoint ? constant(Double(value), type) : constant(bits: Int64(value), type)
  }
  public mutating func boolean(_ value: Bool) -> Scalar { constant(bits: value ? 1 : 0, .bool) }
  /// The lowest value of a type: −∞ for floats.
  public mutating func lowest(_ type: ElementType) -> Scalar {
    if type.isFloatingPoint { return constant(-.infinity, type) }
    return switch type {
    case .int32: integer(Int(Int32.min), type)
    case .int64: integer(Int.min, type)
    default: integer(0, type)
    }
  }
  /// The highest value of a type: +∞ for floats.
  public mutating func highest(_ type: ElementType) -> Scalar {
    if type.isFloatingPoint { return constant(.infinity, type) }
    return switch type {
    case .int32: integer(Int(Int32.max), type)
    case .int64: integer(Int.max, type)
    case .uint8: integer(255, type)
    default: integer(1, type)
    }
  }
  public mutating func axis(_ number: Int) -> Scalar { row(.axis, .int64, payload: Int64(number)) }
  public mutating func parameter(_ number: Int) -> Scalar { row(.parameter, .int64, payload: Int64(number)) }
  public mutating func state(_ component: Int, _ type: ElementType) -> Scalar {
    row(.state, type, payload: Int64(component))
  }
  public mutating func other(_ component: Int, _ type: ElementType) -> Scalar {
    row(.other, type, payload: Int64(component))
  }
  /// The element of `source` at `indices`, each an int64; zero, and nothing read, where `condition` is false.
  public mutating func load(
    _ source: Source, _ type: ElementType, at indices: [Scalar], if condition: Scalar? = nil
  ) -> Scalar {
    intern(
      ScalarRow(.load, type, indices.map(\.id), payload: source.payload, condition: condition?.id ?? .none))
  }

  // MARK: One operand

  public mutating func negate(_ x: Scalar) -> Scalar { row(.negate, x.type, x) }
  public mutating func absolute(_ x: Scalar) -> Scalar { row(.absolute, x.type, x) }
  public mutating func sign(_ x: Scalar) -> Scalar { row(.sign, x.type, x) }
  public mutating func not(_ x: Scalar) -> Scalar { row(.not, x.type, x) }
  public mutating func floor(_ x: Scalar) -> Scalar { row(.floor, x.type, x) }
  public mutating func ceil(_ x: Scalar) -> Scalar { row(.ceil, x.type, x) }
  public mutating func round(_ x: Scalar) -> Scalar { row(.round, x.type, x) }
  public mutating func sqrt(_ x: Scalar) -> Scalar { row(.sqrt, x.type, x) }
  public mutating func rsqrt(_ x: Scalar) -> Scalar { row(.rsqrt, x.type, x) }
  public mutating func reciprocal(_ x: Scalar) -> Scalar { row(.reciprocal, x.type, x) }
  public mutating func exp(_ x: Scalar) -> Scalar { row(.exp, x.type, x) }
  public mutating func expm1(_ x: Scalar) -> Scalar { row(.expm1, x.type, x) }
  public mutating func log(_ x: Scalar) -> Scalar { row(.log, x.type, x) }
  public mutating func log1p(_ x: Scalar) -> Scalar { row(.log1p, x.type, x) }
  public mutating func sin(_ x: Scalar) -> Scalar { row(.sin, x.type, x) }
  public mutating func cos(_ x: Scalar) -> Scalar { row(.cos, x.type, x) }
  public mutating func tan(_ x: Scalar) -> Scalar { row(.tan, x.type, x) }
  public mutating func atan(_ x: Scalar) -> Scalar { row(.atan, x.type, x) }
  public mutating func tanh(_ x: Scalar) -> Scalar { row(.tanh, x.type, x) }
  public mutating func sigmoid(_ x: Scalar) -> Scalar { row(.sigmoid, x.type, x) }
  public mutating func erf(_ x: Scalar) -> Scalar { row(.erf, x.type, x) }
  public mutating func isNaN(_ x: Scalar) -> Scalar { row(.isNaN, .bool, x) }
  public mutating func isInfinite(_ x: Scalar) -> Scalar { row(.isInfinite, .bool, x) }
  public mutating func isFinite(_ x: Scalar) -> Scalar { row(.isFinite, .bool, x) }
  public mutating func cast(_ x: Scalar, to type: ElementType) -> Scalar {
    x.type == type ? x : row(.cast, type, x)
  }
  /// `x`, of a type of 16 bits, as the `float32` that it is rounded from where it is computed, else as the same number;
  /// anything else as it is.
  public mutating func widen(_ x: Scalar) -> Scalar { cast(x, to: x.type.arithmeticType) }
  /// `x` as the result of arithmetic on elements of `type`: rounded where that has 16 bits, unless it is widened again.
  public mutating func narrow(_ x: Scalar, to type: ElementType) -> Scalar {
    x.type == type ? x : row(.cast, type, x, payload: type.isHalf ? ScalarRow.relaxed : 0)
  }
  public mutating func bitcast(_ x: Scalar, to type: ElementType) -> Scalar {
    x.type == type ? x : row(.bitcast, type, x)
  }

  // MARK: Two operands

  public mutating func add(_ x: Scalar, _ y: Scalar) -> Scalar { row(.add, x.type, x, y) }
  public mutating func subtract(_ x: Scalar, _ y: Scalar) -> Scalar { row(.subtract, x.type, x, y) }
  public mutating func multiply(_ x: Scalar, _ y: Scalar) -> Scalar { row(.multiply, x.type, x, y) }
  public mutating func divide(_ x: Scalar, _ y: Scalar) -> Scalar { row(.divide, x.type, x, y) }
  public mutating func floorDivide(_ x: Scalar, _ y: Scalar) -> Scalar { row(.floorDivide, x.type, x, y) }
  public mutating func floorModulo(_ x: Scalar, _ y: Scalar) -> Scalar { row(.floorModulo, x.type, x, y) }
  public mutating func minimum(_ x: Scalar, _ y: Scalar) -> Scalar { row(.minimum, x.type, x, y) }
  public mutating func maximum(_ x: Scalar, _ y: Scalar) -> Scalar { row(.maximum, x.type, x, y) }
  public mutating func power(_ x: Scalar, _ y: Scalar) -> Scalar { row(.power, x.type, x, y) }
  public mutating func equal(_ x: Scalar, _ y: Scalar) -> Scalar { row(.equal, .bool, x, y) }
  public mutating func notEqual(_ x: Scalar, _ y: Scalar) -> Scalar { row(.notEqual, .bool, x, y) }
  public mutating func less(_ x: Scalar, _ y: Scalar) -> Scalar { row(.less, .bool, x, y) }
  public mutating func lessEqual(_ x: Scalar, _ y: Scalar) -> Scalar { row(.lessEqual, .bool, x, y) }
  public mutating func greater(_ x: Scalar, _ y: Scalar) -> Scalar { less(y, x) }
  public mutating func greaterEqual(_ x: Scalar, _ y: Scalar) -> Scalar { lessEqual(y, x) }
  public mutating func and(_ x: Scalar, _ y: Scalar) -> Scalar { row(.and, x.type, x, y) }
  public mutating func or(_ x: Scalar, _ y: Scalar) -> Scalar { row(.or, x.type, x, y) }
  public mutating func xor(_ x: Scalar, _ y: Scalar) -> Scalar { row(.xor, x.type, x, y) }
  public mutating func shiftLeft(_ x: Scalar, _ y: Scalar) -> Scalar { row(.shiftLeft, x.type, x, y) }
  public mutating func shiftRightLogical(_ x: Scalar, _ y: Scalar) -> Scalar { row(.shiftRightLogical, x.type, x, y) }
  /// The int64 `index` clamped to `0 ..< extent`; a run in which it had to be clamped throws.
  public mutating func checkIndex(_ index: Scalar, extent: Int, code: Int64 = 0) -> Scalar {
    let extent = integer(extent)
    return intern(ScalarRow(.checkIndex, .int64, [index.id, extent.id], payload: code))
  }

  // MARK: Three operands

  /// `x` where `condition`, a `bool`, is true; else `y`.
  public mutating func select(_ condition: Scalar, _ x: Scalar, _ y: Scalar) -> Scalar {
    intern(ScalarRow(.select, x.type, [condition.id, x.id, y.id]))
  }

  /// x · y + z of floats, rounded once.
  public mutating func multiplyAdd(_ x: Scalar, _ y: Scalar, _ z: Scalar) -> Scalar {
    row(.multiplyAdd, x.type, x, y, z)
  }

  // MARK: Rows

  /// Adds a row of any operation, in its simplest equal form.
  public mutating func row(
    _ operation: ScalarOperation, _ type: ElementType, _ operands: Scalar..., payload: Int64 = 0
  ) -> Scalar {
    intern(ScalarRow(operation, type, operands.map(\.id), payload: payload))
  }

  /// Adds a row whose operands are rows of this builder, in its simplest equal form.
  public mutating func intern(_ row: ScalarRow) -> Scalar {
    let id = simplifier.intern(row, in: &arena)
    return Scalar(id, row.type)
  }

  /// The row for an affine form, quotients and remainders of the same division put together.
  mutating func simplified(_ form: AffineForm) -> ScalarID { simplifier.affine(form, in: &arena) }

  /// The values that an integer scalar can have, as far as the axes' extents and its operations tell.
  package mutating func range(of scalar: ScalarID) -> ScalarRange { simplifier.range(of: scalar, in: arena) }
}
