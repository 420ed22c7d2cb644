/// Spreads the entropy of a seed over as many well-mixed words as a generator's state needs.
///
/// The algorithm is O'Neill's `seed_seq_fe128` ("Developing a seed_seq Alternative", 2015), with the constants given
/// there; NumPy's `SeedSequence` is the same function.
struct SeedSequence {
  private static let poolSize = 4
  private var pool: [UInt32]

  /// A sequence for a seed of 64 bits, its low word first.
  init(_ seed: UInt64) {
    let entropy = seed >> 32 == 0 ? [UInt32(seed)] : [UInt32(truncatingIfNeeded: seed), UInt32(seed >> 32)]
    var hash = Hash(constant: 0x43B0_D7E5, multiplier: 0x931E_8875)
    pool = (0..<Self.poolSize).map { hash($0 < entropy.count ? entropy[$0] : 0) }
    // Every word of the pool comes to depend on every other.
    for source in 0..<Self.poolSize {
      for target in 0..<Self.poolSize where source != target {
        pool[target] = Self.mix(pool[target], hash(pool[source]))
      }
    }
  }

  /// `count` words of 64 bits, each made of two of 32, the low one first.
  func state(count: Int) -> [UInt64] {
    var hash = Hash(constant: 0x8B51_F9DD, multiplier: 0x58F3_8DED)
    return (0..<count).map { i in
      let low = hash(pool[2 * i % Self.poolSize])
      let high = hash(pool[(2 * i + 1) % Self.poolSize])
      return UInt64(high) << 32 | UInt64(low)
    }
  }

  private static func mix(_ x: UInt32, _ y: UInt32) -> UInt32 {
    let result = 0xCA01_F9DD &* x &- 0x4973_F715 &* y
    return result ^ result >> 16
  }

  /// A multiplicative hash whose constant changes at every use.
  private struct Hash {
    var constant: UInt32
    let multiplier: UInt32

    mutating func callAsFunction(_ word: UInt32) -> UInt32 {
      var word = word ^ constant
      constant = constant &* multiplier
      word = word &* constant
      return word ^ word >> 16
    }
  }
}
