/// A number of the format bfloat16: the upper half of a `Float`, with its sign, its eight bits of exponent and seven bits of
/// the significand.
///
/// Numbers are kept in it; to compute, convert them to `Float` and back.
///
///     let x = BFloat16(1.01)          // 1.0078125
///     BFloat16(x.float * x.float)     // 1.015625
public struct BFloat16: Sendable, BitwiseCopyable {
  /// The bits: sign, exponent, significand.
  public var bitPattern: UInt16

  public init(bitPattern: UInt16) { self.bitPattern = bitPattern }

  /// The nearest number, that with an even significand where two are as near. What is beyond the greatest finite number by
  /// half a step or more becomes infinite; subnormal numbers are kept; a NaN stays one, with its sign.
  public init(_ value: Float) {
    let bits = value.bitPattern
    if value.isNaN {
      // Quiet, so that the bits that are cut off cannot have been all that made it a NaN.
      bitPattern = UInt16(truncatingIfNeeded: bits >> 16) | 0x40
    } else {
      bitPattern = UInt16(truncatingIfNeeded: (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
    }
  }

  /// The nearest number, rounded once.
  public init(_ value: Double) {
    let nearest = Float(value)
    guard Double(nearest) != value, !value.isNaN else {
      self.init(nearest)
      return
    }
    // Truncated with the last bit set: it lies on the same side of every number that rounding could choose or tie at.
    let truncated = Double(nearest).magnitude > value.magnitude ? nearest.bitPattern - 1 : nearest.bitPattern
    self.init(Float(bitPattern: truncated | 1))
  }

  /// The same number.
  public var float: Float { Float(bitPattern: UInt32(bitPattern) << 16) }

  /// The bits of the significand behind the leading one.
  public static var significandBitCount: Int { 7 }
  public static var greatestFiniteMagnitude: BFloat16 { BFloat16(bitPattern: 0x7F7F) }
  public static var leastNonzeroMagnitude: BFloat16 { BFloat16(bitPattern: 0x0001) }
  public static var infinity: BFloat16 { BFloat16(bitPattern: 0x7F80) }
  public static var nan: BFloat16 { BFloat16(bitPattern: 0x7FC0) }
}

extension BFloat16: Equatable {
  /// Compares as `Float` does: a NaN is not equal to itself, and the zeros of both signs are equal.
  public static func == (a: BFloat16, b: BFloat16) -> Bool { a.float == b.float }
}

extension BFloat16: ExpressibleByFloatLiteral, ExpressibleByIntegerLiteral {
  public init(floatLiteral value: Double) { self.init(value) }
  public init(integerLiteral value: Int32) { self.init(Double(value)) }
}

extension BFloat16: CustomStringConvertible {
  public var description: String { "\(float)" }
}
