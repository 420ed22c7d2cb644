/// The counter-based random number generator Philox 4x32-10.
///
/// A block of four numbers is a pure function of a counter and a key, so that any element of a random tensor can be
/// computed by itself, on any device and in any order.
/// Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
public enum Philox {
  public typealias Block = (UInt32, UInt32, UInt32, UInt32)

  /// The constants that multiply words 0 and 2 of the counter in each round.
  public static let multipliers: (UInt32, UInt32) = (0xD251_1F53, 0xCD9E_8D57)

  /// What is added to the two words of the key after each round (the golden ratio, and the square root of 3 less 1).
  public static let keySteps: (UInt32, UInt32) = (0x9E37_79B9, 0xBB67_AE85)

  /// The number of rounds.
  public static let rounds = 10

  /// The four random words of a counter under a key.
  public static func block(counter: Block, key: (UInt32, UInt32)) -> Block {
    var (c, k) = (counter, key)
    for round in 0..<rounds {
      if round > 0 { k = (k.0 &+ keySteps.0, k.1 &+ keySteps.1) }
      let a = multipliers.0.multipliedFullWidth(by: c.0)
      let b = multipliers.1.multipliedFullWidth(by: c.2)
      c = (b.high ^ c.1 ^ k.0, b.low, a.high ^ c.3 ^ k.1, a.low)
    }
    return c
  }
}
