import MartletTensors

/// An array in the graph, shared by all that refers to it. Its content hash is computed once.
public final class Constant: Hashable, Sendable {
  public let tensor: Tensor
  public let contentHash: UInt64

  public init(_ tensor: Tensor) {
    self.tensor = tensor
    self.contentHash = tensor.contentHash
  }

  /// Equal by type, shape and bits: 0.0 is not −0.0, and a NaN equals itself.
  public static func == (a: Constant, b: Constant) -> Bool {
    a === b || (a.contentHash == b.contentHash && a.tensor == b.tensor)
  }
  public func hash(into hasher: inout Hasher) { hasher.combine(contentHash) }
}
