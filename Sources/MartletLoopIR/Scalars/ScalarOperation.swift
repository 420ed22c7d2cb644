/// What one scalar row computes.
///
/// Every operation is total: each bit pattern of the operands has one defined result, the same in the interpreter and
/// in every code generator. Integers wrap; integer division by zero gives 0; shifts are masked to the width; a float
/// that does not fit the integer it is cast to saturates, and NaN becomes 0.
public enum ScalarOperation: UInt8, Sendable, Hashable, CaseIterable {
  // MARK: Leaves

  /// A constant; `payload` holds its bits: a float's own pattern, an integer sign-extended, a Boolean 0 or 1.
  case constant
  /// The loop index number `payload`, an int64.
  case axis
  /// The run-time parameter number `payload`, an int64. Number 0 counts the runs of a session.
  case parameter
  /// The element of source `payload` at the operands' indices. Where the row has a guard that is false, nothing is
  /// read and the result is zero.
  case load
  /// Component `payload` of a reduction's state so far.
  case state
  /// Component `payload` of the second state that a reduction's merge combines.
  case other
  /// The register number `payload` of a nest.
  case register

  // MARK: One operand

  case negate, absolute, sign, not
  case floor, ceil
  /// To the nearest integer, ties to even.
  case round
  case sqrt, rsqrt, reciprocal
  case exp, expm1, log, log1p
  case sin, cos, tan, tanh, sigmoid, erf
  case isNaN, isInfinite, isFinite
  /// Conversion to the row's element type.
  case cast
  /// The same bits under another type of the same width.
  case bitcast

  // MARK: Two operands

  case add, subtract, multiply
  /// IEEE division of floats; of integers, truncated towards zero.
  case divide
  /// Division of integers or floats rounded towards negative infinity.
  case floorDivide
  /// The remainder that belongs to `floorDivide`; it has the divisor's sign.
  case floorModulo
  /// NaN if either operand is NaN.
  case minimum, maximum
  case power
  case equal, notEqual, less, lessEqual
  case and, or, xor
  case shiftLeft
  /// Logical for all types: zeros come in from the left.
  case shiftRightLogical
  /// The first operand, an int64 index, clamped to 0 ..< the second. Outside, the run's status records code `payload`
  /// and the index once, and the run throws when it ends.
  case checkIndex

  // MARK: Three operands

  /// The second operand where the first is true, else the third.
  case select

  /// The number of operands, or nil for a load, which has one for each index.
  public var arity: Int? {
    switch self {
    case .constant, .axis, .parameter, .state, .other, .register: 0
    case .load: nil
    case .negate, .absolute, .sign, .not, .floor, .ceil, .round, .sqrt, .rsqrt, .reciprocal, .exp, .expm1, .log, .log1p,
      .sin, .cos, .tan, .tanh, .sigmoid, .erf, .isNaN, .isInfinite, .isFinite, .cast, .bitcast:
      1
    case .select: 3
    default: 2
    }
  }

  /// Whether the two operands may be exchanged.
  public var isCommutative: Bool {
    switch self {
    case .add, .multiply, .minimum, .maximum, .equal, .notEqual, .and, .or, .xor: true
    default: false
    }
  }
}
