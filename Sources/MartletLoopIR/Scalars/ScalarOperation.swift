/// What one scalar row computes.
///
/// Every operation is total: each bit pattern of the operands has one defined result, the same in the interpreter and
/// in every code generator. Integers wrap; integer division by zero gives 0; shifts are masked to the width; a float
/// that does not fit the integer it is cast to saturates, and NaN becomes 0. ``ScalarEvaluator`` is the definition.
///
/// Floats of 16 bits are loaded, stored, selected and converted; all arithmetic on them is arithmetic on `float32`.
public enum ScalarOperation: UInt8, Sendable, Hashable, CaseIterable {
  // MARK: Leaves

  /// A constant; `payload` holds its bits: a float's own pattern, an integer sign-extended, a Boolean 0 or 1.
  case constant
  /// The loop index number `payload`, an int64.
  case axis
  /// The run-time parameter number `payload`, an int64. Number 0 counts the runs of a session, number 1 tells
  /// iterations of loops apart.
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

  /// The lowest integer is its own negative and its own absolute value.
  case negate, absolute
  /// −1, 0 or 1; 0 for both floating-point zeros, NaN for NaN.
  case sign
  /// The complement: of a Boolean, or of each bit of an integer.
  case not
  case floor, ceil
  /// To the nearest integer, ties to even.
  case round
  /// 1 / √x and 1 / x, each step rounded.
  case sqrt, rsqrt, reciprocal
  case exp, expm1, log, log1p
  /// The logistic function 1 / (1 + e⁻ˣ).
  case sigmoid
  case sin, cos, tan, tanh, erf
  /// The angle between −π/2 and π/2 with this tangent.
  case atan
  case isNaN, isInfinite, isFinite
  /// Conversion to the row's element type. Floats are truncated towards zero to integers and saturate, NaN becomes 0;
  /// integers wrap to a narrower one; anything but zero, NaN included, is true. Floats of 16 bits are cast from and to
  /// `float32` alone; other casts go by way of it. Where `payload` is ``ScalarRow/relaxed``, casting back may give the operand.
  case cast
  /// The same bits under another type of the same width.
  case bitcast

  // MARK: Two operands

  case add, subtract, multiply
  /// IEEE division of floats; of integers, truncated towards zero.
  case divide
  /// Division of integers, or ⌊x / y⌋ of floats with the quotient rounded first.
  case floorDivide
  /// The remainder that belongs to `floorDivide`; it has the divisor's sign. Of floats: `fmod`, plus the divisor where
  /// that is not zero and its sign differs from the divisor's. Of integers with divisor 0: 0.
  case floorModulo
  /// The first where it is the smaller (the greater) or NaN, else the second: NaN if either operand is NaN, and the
  /// second of two zeros.
  case minimum, maximum
  /// Of integers: wrapping; to a negative power, 1 / xʸ truncated, and 0 for x = 0.
  case power
  /// Ordered comparisons: false if an operand is NaN. `notEqual` is the complement of `equal`.
  case equal, notEqual, less, lessEqual
  case and, or, xor
  /// The second operand is taken modulo the width in bits.
  case shiftLeft
  /// Logical for all types: zeros come in from the left.
  case shiftRightLogical
  /// The first operand, an int64 index, clamped to 0 ..< the second, and 0 where that is empty. Outside, the run's
  /// status records code `payload` and the index once, and the run throws when it ends.
  case checkIndex

  // MARK: Three operands

  /// The second operand where the first is true, else the third.
  case select
  /// The product of two floats plus the third, rounded once.
  case multiplyAdd

  /// The number of operands, or nil for a load, which has one for each index.
  public var arity: Int? {
    switch self {
    case .constant, .axis, .parameter, .state, .other, .register: 0
    case .load: nil
    case .negate, .absolute, .sign, .not, .floor, .ceil, .round, .sqrt, .rsqrt, .reciprocal, .exp, .expm1, .log, .log1p,
      .sin, .cos, .tan, .atan, .tanh, .sigmoid, .erf, .isNaN, .isInfinite, .isFinite, .cast, .bitcast:
      1
    case .select, .multiplyAdd: 3
    default: 2
    }
  }

  /// Whether the two operands may be exchanged. Of floating-point minima and maxima only the sign of a zero tells.
  public var isCommutative: Bool {
    switch self {
    case .add, .multiply, .minimum, .maximum, .equal, .notEqual, .and, .or, .xor: true
    default: false
    }
  }

  /// An estimate of what one evaluation costs in a vectorised loop, in floating-point additions.
  ///
  /// Schedules and fusion weigh work with it; nothing depends on its exact values. A load counts as one operation, its
  /// memory traffic is weighed apart.
  public var cost: Int {
    switch self {
    case .constant, .axis, .parameter, .state, .other, .register, .bitcast: 0
    case .load, .negate, .absolute, .not, .floor, .ceil, .round, .isNaN, .isInfinite, .isFinite, .cast, .add, .subtract,
      .multiply, .equal, .notEqual, .less, .lessEqual, .and, .or, .xor, .shiftLeft, .shiftRightLogical, .select,
      .multiplyAdd:
      1
    case .sign, .minimum, .maximum, .checkIndex: 2
    case .divide, .sqrt, .reciprocal: 5
    case .rsqrt: 8
    case .floorDivide, .floorModulo: 12
    case .exp: 12
    case .log, .log1p, .expm1, .sigmoid, .erf: 16
    case .tanh, .sin, .cos, .atan: 20
    case .tan: 30
    case .power: 40
    }
  }

  /// Whether a floating-point result may need rounding, unlike an operand's value or that with another sign.
  public var isRounded: Bool {
    switch self {
    case .constant, .axis, .parameter, .load, .state, .other, .register, .negate, .absolute, .sign, .floor, .ceil,
      .round,
      .bitcast, .minimum, .maximum, .select:
      false
    default: true
    }
  }
}
