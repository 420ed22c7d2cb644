import MartletTensors
import Synchronization

/// An array in the graph, shared by all that refers to it. Its content hash is computed once.
///
/// An array that is computed from others is not there before it is asked for: who reads it may want it in another layout
/// only, and for a moment. One that is there can be given up by who keeps its elements in such a layout.
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
      let made = compute().inFittingBlock
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

  /// Whether `giveUpArray` would free memory: nobody else holds the array, which is not computed and not adopted.
  public var canGiveUpArray: Bool {
    content.withLock { content in
      guard case .array(var tensor) = content else { return false }
      content = .computation { Tensor(uninitialized: .float32, shape: [0]) }
      defer { content = .array(tensor) }
      return tensor.isSoleOwner
    }
  }

  /// Has the array computed from now on, by who holds the same elements in another form, so that its memory can be used again;
  /// nothing happens if anybody else holds the array, or it is memory that was adopted.
  ///
  /// - Parameter compute: gives the same bits. It is called on any thread, and more than once if the array is not kept.
  /// - Returns: whether the array is gone.
  @discardableResult public func giveUpArray(compute: @escaping @Sendable () -> Tensor) -> Bool {
    content.withLock { content in
      guard case .array(var tensor) = content else { return false }
      // So that the local variable's is the only reference of ours.
      content = .computation(compute)
      if tensor.isSoleOwner { return true }
      content = .array(tensor)
      return false
    }
  }

  public var elementCount: Int { type.shape.known?.reduce(1, *) ?? 0 }
  /// The bytes that the elements occupy.
  public var byteCount: Int { elementCount * type.elementType.byteWidth }
  /// The elements as integers, true as 1; nil where the element type is not one of the computable integers or `bool`.
  public var integers: [Int]? { type.elementType.isFloatingPoint ? nil : tensor.integers() }

  /// Equal by type, shape and bits: 0.0 is not −0.0, and a NaN equals itself.
  public static func == (a: Constant, b: Constant) -> Bool {
    a === b || (!a.isComputed && !b.isComputed && a.contentHash == b.contentHash && a.passingTensor == b.passingTensor)
  }
  public func hash(into hasher: inout Hasher) {
    if isComputed { hasher.combine(ObjectIdentifier(self)) } else { hasher.combine(contentHash) }
  }
}
