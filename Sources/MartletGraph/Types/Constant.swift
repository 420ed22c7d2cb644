import MartletTensors
import Synchronization

/// An array in the graph, shared by all that refers to it. Its content hash is computed once.
///
/// An array that is computed from others is not there before it is asked for: who reads it may want it in another layout
/// only, and for a moment.
public final class Constant: Hashable, Sendable {
  /// The array's type, every dimension known.
  public let type: TensorType
  private let contentHash: UInt64
  private let isComputed: Bool
  private let content: Mutex<Content>

  private enum Content {
    case array(Tensor)
    case computation(@Sendable () -> Tensor)
  }

  public init(_ tensor: Tensor) {
    type = tensor.type
    contentHash = tensor.contentHash
    isComputed = false
    content = Mutex(.array(tensor))
  }

  /// An array that is computed when it is needed. It is equal to no other constant.
  ///
  /// - Parameters:
  ///   - type: what `compute` gives, every dimension known.
  ///   - compute: is called on any thread, and more than once if the array is not kept.
  public init(_ type: TensorType, compute: @escaping @Sendable () -> Tensor) {
    self.type = type
    contentHash = 0
    isComputed = true
    content = Mutex(.computation(compute))
  }

  /// The array. One that is computed is kept from then on.
  public var tensor: Tensor {
    switch content.withLock({ $0 }) {
    case .array(let tensor): return tensor
    case .computation(let compute):
      let made = compute()
      return content.withLock { content in
        if case .array(let tensor) = content { return tensor }
        content = .array(made)
        return made
      }
    }
  }

  /// The array, for who does not need it for long: one that is computed is not kept.
  public var passingTensor: Tensor {
    switch content.withLock({ $0 }) {
    case .array(let tensor): tensor
    case .computation(let compute): compute()
    }
  }

  public var elementCount: Int { type.shape.known?.reduce(1, *) ?? 0 }
  /// The bytes that the elements occupy.
  public var byteCount: Int { elementCount * type.elementType.byteWidth }
  /// The elements as integers, true as 1; nil where the element type is not one of the computable integers or `bool`.
  public var integers: [Int]? { type.elementType.isFloatingPoint ? nil : tensor.integers() }

  /// Equal by type, shape and bits: 0.0 is not −0.0, and a NaN equals itself.
  public static func == (a: Constant, b: Constant) -> Bool {
    a === b || (!a.isComputed && !b.isComputed && a.contentHash == b.contentHash && a.tensor == b.tensor)
  }
  public func hash(into hasher: inout Hasher) {
    if isComputed { hasher.combine(ObjectIdentifier(self)) } else { hasher.combine(contentHash) }
  }
}
