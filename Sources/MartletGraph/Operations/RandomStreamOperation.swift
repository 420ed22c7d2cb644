/// An operation that draws from a stream of random numbers.
///
/// The stream is that of the operation's seeds, or of the node's name if both are 0. If the first seed, which TensorFlow
/// calls that of the graph, is 0, nobody has asked for certain numbers: then the operation has a stream for each place from
/// which its sub-graph is called, given by the names of the calling nodes from the outermost to the innermost. So two calls
/// of one function draw different numbers, and none of them depends on what else is run.
public protocol RandomStreamOperation: Operation {
  var seed: Int { get set }
  var seed2: Int { get set }
  /// The bits of the stream's key, once it is fixed for a call; nil before, and outside of sub-graphs.
  var stream: Int? { get set }
}

extension RandomStreamOperation {
  /// Whether each call of the sub-graph that the operation stands in has a stream of its own.
  public var hasStreamForEachCall: Bool { seed == 0 && stream == nil }

  /// The key of the stream of a node of this name.
  public func streamKey(name: String) -> RandomStreamKey {
    if let stream { return RandomStreamKey(bits: UInt64(bitPattern: Int64(stream))) }
    return seed == 0 && seed2 == 0 ? RandomStreamKey(name: name) : RandomStreamKey(seed: seed, seed2: seed2)
  }

  /// The operation with the stream of a call.
  ///
  /// - Parameter call: the key of the calling nodes.
  public func called(from call: RandomStreamKey, name: String) -> Self {
    var result = self
    result.stream = Int(Int64(bitPattern: call.joined(streamKey(name: name)).bits))
    return result
  }
}

/// The key of a stream of random numbers, the same in every process.
public struct RandomStreamKey: Hashable, Sendable {
  public let bits: UInt64

  public init(bits: UInt64) { self.bits = bits }

  /// The key of a name: FNV-1a.
  public init(name: String) {
    bits = name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
  }

  /// The key of two seeds.
  public init(seed: Int, seed2: Int) {
    bits = Self.mixed(Self.mixed(UInt64(bitPattern: Int64(seed))) &+ UInt64(bitPattern: Int64(seed2)))
  }

  /// The key of this one followed by another.
  public func joined(_ other: RandomStreamKey) -> RandomStreamKey {
    RandomStreamKey(bits: Self.mixed(Self.mixed(bits) &+ other.bits))
  }

  /// A bijection of 64-bit numbers under which near ones go far apart: the finisher of SplitMix64 (G. Steele, D. Lea,
  /// C. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
  public static func mixed(_ x: UInt64) -> UInt64 {
    var z = x &+ 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
