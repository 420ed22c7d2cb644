import MartletTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The meaning of each scalar operation, on arrays of lanes.
///
/// A lane is 64 bits: a float of any width as the pattern of a `Double`, an integer sign-extended (`uint8`:
/// zero-extended), a Boolean as 0 or 1. Results of type `float32` are rounded to it, except where the caller asks for
/// wide results, as the interpreter does for what a reduction accumulates.
public enum ScalarEvaluator {
  public typealias Lanes = UnsafeMutablePointer<UInt64>

  /// Computes `count` lanes of an operation that is not a leaf.
  ///
  /// - Parameters:
  ///   - type: The type of the result.
  ///   - operandType: The type of the first operand; for `select`, of the second.
  ///   - x: The first operand; `y` and `z` are read only by operations that have so many.
  ///   - isWide: Whether a `float32` result keeps double precision.
  public static func evaluate(
    _ operation: ScalarOperation, _ type: ElementType, from operandType: ElementType, into result: Lanes, count: Int,
    _ x: Lanes, _ y: Lanes, _ z: Lanes, isWide: Bool = false
  ) {
    switch operation {
    case .select:
      for i in 0..<count { result[i] = x[i] != 0 ? y[i] : z[i] }
    case .multiplyAdd:
      for i in 0..<count {
        let (x, y, z) = (Double(bitPattern: x[i]), Double(bitPattern: y[i]), Double(bitPattern: z[i]))
        let isNarrow = type == .float32 && !isWide
        result[i] =
          (isNarrow ? Double(Float(z).addingProduct(Float(x), Float(y))) : z.addingProduct(x, y)).bitPattern
      }
    case .cast:
      cast(from: operandType, to: type, into: result, count: count, x, isWide: isWide)
    case .bitcast:
      for i in 0..<count { result[i] = lane(bits: bits(lane: x[i], operandType), type) }
    case .checkIndex:
      for i in 0..<count {
        result[i] = UInt64(bitPattern: max(0, min(Int64(bitPattern: x[i]), Int64(bitPattern: y[i]) - 1)))
      }
    default:
      if operandType.isFloatingPoint {
        floats(operation, into: result, count: count, x, y, rounding: type == .float32 && !isWide)
      } else {
        integers(operation, type, operandType, into: result, count: count, x, y)
      }
    }
  }

  /// The lane for an element with these bits, as ``ScalarOperation/constant`` lays them out.
  @inlinable
  public static func lane(bits: Int64, _ type: ElementType) -> UInt64 {
    switch type {
    case .float32: Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits))).bitPattern
    case .float16: Double(Float16(bitPattern: UInt16(truncatingIfNeeded: bits))).bitPattern
    case .bfloat16: Double(BFloat16(bitPattern: UInt16(truncatingIfNeeded: bits)).float).bitPattern
    case .int32: UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: bits)))
    case .uint8: UInt64(UInt8(truncatingIfNeeded: bits))
    case .bool: UInt64(bitPattern: bits & 1)
    default: UInt64(bitPattern: bits)
    }
  }

  /// The bits of the element that a lane holds; a double that stands for a narrower float is rounded.
  @inlinable
  public static func bits(lane: UInt64, _ type: ElementType) -> Int64 {
    switch type {
    case .float32: Int64(Float(Double(bitPattern: lane)).bitPattern)
    case .float16: Int64(Float16(Double(bitPattern: lane)).bitPattern)
    case .bfloat16: Int64(BFloat16(Double(bitPattern: lane)).bitPattern)
    default: Int64(bitPattern: lane)
    }
  }

  // MARK: Floats

  private static func floats(
    _ operation: ScalarOperation, into result: Lanes, count: Int, _ x: Lanes, _ y: Lanes, rounding: Bool
  ) {
    func unary(_ f: (Double) -> Double) {
      for i in 0..<count {
        let value = f(Double(bitPattern: x[i]))
        result[i] = (rounding ? Double(Float(value)) : value).bitPattern
      }
    }
    func binary(_ f: (Double, Double) -> Double) {
      for i in 0..<count {
        let value = f(Double(bitPattern: x[i]), Double(bitPattern: y[i]))
        result[i] = (rounding ? Double(Float(value)) : value).bitPattern
      }
    }
    func test(_ f: (Double, Double) -> Bool) {
      for i in 0..<count { result[i] = f(Double(bitPattern: x[i]), Double(bitPattern: y[i])) ? 1 : 0 }
    }
    func testOne(_ f: (Double) -> Bool) {
      for i in 0..<count { result[i] = f(Double(bitPattern: x[i])) ? 1 : 0 }
    }
    switch operation {
    case .negate: unary { -$0 }
    case .absolute: unary { $0.magnitude }
    case .sign: unary { $0.isNaN ? $0 : $0 > 0 ? 1 : $0 < 0 ? -1 : 0 }
    case .floor: unary { $0.rounded(.down) }
    case .ceil: unary { $0.rounded(.up) }
    case .round: unary { $0.rounded(.toNearestOrEven) }
    case .sqrt: unary { $0.squareRoot() }
    case .rsqrt: unary { 1 / $0.squareRoot() }
    case .reciprocal: unary { 1 / $0 }
    case .exp: unary { exp($0) }
    case .expm1: unary { expm1($0) }
    case .log: unary { log($0) }
    case .log1p: unary { log1p($0) }
    case .sin: unary { sin($0) }
    case .cos: unary { cos($0) }
    case .tan: unary { tan($0) }
    case .atan: unary { atan($0) }
    case .tanh: unary { tanh($0) }
    case .sigmoid: unary { 1 / (1 + exp(-$0)) }
    case .erf: unary { erf($0) }
    case .isNaN: testOne { $0.isNaN }
    case .isInfinite: testOne { $0.isInfinite }
    case .isFinite: testOne { $0.isFinite }
    case .add: binary { $0 + $1 }
    case .subtract: binary { $0 - $1 }
    case .multiply: binary { $0 * $1 }
    case .divide: binary { $0 / $1 }
    case .floorDivide: binary { (rounding ? Double(Float($0 / $1)) : $0 / $1).rounded(.down) }
    case .floorModulo:
      binary {
        let remainder = fmod($0, $1)
        return remainder != 0 && (remainder < 0) != ($1 < 0) ? remainder + $1 : remainder
      }
    case .minimum: binary { $0 < $1 || $0.isNaN ? $0 : $1 }
    case .maximum: binary { $0 > $1 || $0.isNaN ? $0 : $1 }
    case .power: binary { pow($0, $1) }
    case .equal: test { $0 == $1 }
    case .notEqual: test { $0 != $1 }
    case .less: test { $0 < $1 }
    case .lessEqual: test { $0 <= $1 }
    default: preconditionFailure("\(operation) is not defined on floats")
    }
  }

  // MARK: Integers and Booleans

  private static func integers(
    _ operation: ScalarOperation, _ type: ElementType, _ operandType: ElementType, into result: Lanes, count: Int,
    _ x: Lanes, _ y: Lanes
  ) {
    let width = Int64(operandType.byteWidth) * 8
    let unsigned: UInt64 = width == 64 ? .max : 1 << UInt64(width) - 1
    func unary(_ f: (Int64) -> Int64) {
      for i in 0..<count { result[i] = lane(bits: f(Int64(bitPattern: x[i])), type) }
    }
    func binary(_ f: (Int64, Int64) -> Int64) {
      for i in 0..<count { result[i] = lane(bits: f(Int64(bitPattern: x[i]), Int64(bitPattern: y[i])), type) }
    }
    func test(_ f: (Int64, Int64) -> Bool) {
      for i in 0..<count { result[i] = f(Int64(bitPattern: x[i]), Int64(bitPattern: y[i])) ? 1 : 0 }
    }
    switch operation {
    case .negate: unary { 0 &- $0 }
    case .absolute: unary { $0 < 0 ? 0 &- $0 : $0 }
    case .sign: unary { $0.signum() }
    case .not: unary { ~$0 }
    case .floor, .ceil, .round: unary { $0 }
    case .isNaN, .isInfinite: unary { _ in 0 }
    case .isFinite: unary { _ in 1 }
    case .reciprocal: unary { divide(1, $0) }
    case .add: binary { $0 &+ $1 }
    case .subtract: binary { $0 &- $1 }
    case .multiply: binary { $0 &* $1 }
    case .divide: binary(divide)
    case .floorDivide: binary(floorDivide)
    case .floorModulo: binary(floorModulo)
    case .minimum: binary { min($0, $1) }
    case .maximum: binary { max($0, $1) }
    case .power: binary(power)
    case .equal: test { $0 == $1 }
    case .notEqual: test { $0 != $1 }
    case .less: test { $0 < $1 }
    case .lessEqual: test { $0 <= $1 }
    case .and: binary { $0 & $1 }
    case .or: binary { $0 | $1 }
    case .xor: binary { $0 ^ $1 }
    case .shiftLeft: binary { $0 &<< ($1 & (width - 1)) }
    case .shiftRightLogical:
      binary { Int64(bitPattern: (UInt64(bitPattern: $0) & unsigned) &>> UInt64($1 & (width - 1))) }
    default: preconditionFailure("\(operation) is not defined on integers")
    }
  }

  static func divide(_ x: Int64, _ y: Int64) -> Int64 { y == 0 ? 0 : x.dividedReportingOverflow(by: y).partialValue }

  static func floorDivide(_ x: Int64, _ y: Int64) -> Int64 {
    let quotient = divide(x, y)
    return y != 0 && (x < 0) != (y < 0) && quotient &* y != x ? quotient - 1 : quotient
  }

  static func floorModulo(_ x: Int64, _ y: Int64) -> Int64 { y == 0 ? 0 : x &- floorDivide(x, y) &* y }

  static func power(_ base: Int64, _ exponent: Int64) -> Int64 {
    if exponent < 0 {
      return base == 1 ? 1 : base == -1 ? (exponent & 1 == 0 ? 1 : -1) : 0
    }
    var (result, factor, rest): (Int64, Int64, Int64) = (1, base, exponent)
    while rest > 0 {
      if rest & 1 == 1 { result = result &* factor }
      factor = factor &* factor
      rest >>= 1
    }
    return result
  }

  // MARK: Conversions

  private static func cast(
    from source: ElementType, to type: ElementType, into result: Lanes, count: Int, _ x: Lanes, isWide: Bool
  ) {
    switch (source.isFloatingPoint, type.isFloatingPoint) {
    case (true, true):
      let isRounded = type.isHalf || (type == .float32 && !isWide)
      for i in 0..<count { result[i] = isRounded ? lane(bits: bits(lane: x[i], type), type) : x[i] }
    case (false, true):
      // By way of a double, an int64 would be rounded twice.
      if type.arithmeticType == .float32 {
        for i in 0..<count {
          let value = Double(Float(Int64(bitPattern: x[i]))).bitPattern
          result[i] = type.isHalf ? lane(bits: bits(lane: value, type), type) : value
        }
      } else {
        for i in 0..<count { result[i] = Double(Int64(bitPattern: x[i])).bitPattern }
      }
    case (true, false):
      if type == .bool {
        for i in 0..<count { result[i] = Double(bitPattern: x[i]) != 0 ? 1 : 0 }
      } else {
        for i in 0..<count { result[i] = UInt64(bitPattern: saturated(Double(bitPattern: x[i]), type)) }
      }
    case (false, false):
      if type == .bool {
        for i in 0..<count { result[i] = x[i] != 0 ? 1 : 0 }
      } else {
        for i in 0..<count { result[i] = lane(bits: Int64(bitPattern: x[i]), type) }
      }
    }
  }

  /// The integer of `type` nearest to `value` truncated towards zero; 0 for NaN.
  static func saturated(_ value: Double, _ type: ElementType) -> Int64 {
    if value.isNaN { return 0 }
    let (lowest, highest): (Int64, Int64) =
      switch type {
      case .int32: (Int64(Int32.min), Int64(Int32.max))
      case .uint8: (0, 255)
      case .bool: (0, 1)
      default: (.min, .max)
      }
    if value <= Double(lowest) { return lowest }
    if value >= Double(highest) { return highest }
    return Int64(value)
  }
}
