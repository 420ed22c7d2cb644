/// The generator PCG XSL-RR 128/64: a linear congruence of 128 bits whose state is folded and rotated into 64.
///
/// O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random Number Generation",
/// 2014. It is NumPy's default generator.
struct PCG64 {
  private static let multiplier: UInt128 = 0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645
  private var state: UInt128
  private let increment: UInt128
  /// The upper half of a word whose lower half was handed out.
  private var buffered: UInt32?

  init(seed: UInt64) {
    let words = SeedSequence(seed).state(count: 4)
    let start = UInt128(words[0]) << 64 | UInt128(words[1])
    let stream = UInt128(words[2]) << 64 | UInt128(words[3])
    increment = stream << 1 | 1
    state = increment &+ start
    step()
  }

  private mutating func step() { state = state &* Self.multiplier &+ increment }

  /// The next 64 bits.
  mutating func nextWord() -> UInt64 {
    step()
    let folded = UInt64(truncatingIfNeeded: state >> 64) ^ UInt64(truncatingIfNeeded: state)
    let rotation = UInt64(truncatingIfNeeded: state >> 122)
    return folded >> rotation | folded << ((64 &- rotation) & 63)
  }

  /// The next 32 bits: the lower half of a word, then its upper half.
  mutating func nextHalfWord() -> UInt32 {
    if let half = buffered {
      buffered = nil
      return half
    }
    let word = nextWord()
    buffered = UInt32(truncatingIfNeeded: word >> 32)
    return UInt32(truncatingIfNeeded: word)
  }

  /// Evenly distributed over the multiples of 2⁻²⁴ in `0 ..< 1`.
  mutating func nextUniform() -> Float { Float(nextHalfWord() >> 8) * 0x1p-24 }

  /// Evenly distributed in `0 ..< bound`, without bias.
  ///
  /// Lemire, "Fast Random Integer Generation in an Interval", 2019: the upper half of a product is the result, and the few
  /// lower halves that would favour some results are rejected.
  mutating func nextInteger(below bound: UInt32) -> UInt32 {
    var product = UInt64(nextHalfWord()) * UInt64(bound)
    if UInt32(truncatingIfNeeded: product) < bound {
      let threshold = (0 &- bound) % bound
      while UInt32(truncatingIfNeeded: product) < threshold {
        product = UInt64(nextHalfWord()) * UInt64(bound)
      }
    }
    return UInt32(product >> 32)
  }
}
