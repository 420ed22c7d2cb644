import MartletTensors

/// The elements of an integer array as far as they are known while the graph is built: shapes, axes and what is
/// computed from them. Elements may be symbolic.
public struct KnownValue: Hashable, Sendable {
  /// The elements in row-major order.
  public var elements: [Dimension]
  /// Empty for a scalar.
  public var shape: [Int]

  public init(_ elements: [Dimension], shape: [Int]) {
    precondition(elements.count == shape.reduce(1, *))
    (self.elements, self.shape) = (elements, shape)
  }
  public init(scalar: Dimension) { self.init([scalar], shape: []) }
  public init(vector: [Dimension]) { self.init(vector, shape: [vector.count]) }

  /// Larger arrays are not tracked.
  public static let maximumCount = 64

  /// The elements, if each is a number.
  public var integers: [Int]? {
    let numbers = elements.compactMap(\.known)
    return numbers.count == elements.count ? numbers : nil
  }

  /// The known value of a constant; nil if it is too large or not an integer.
  public init?(_ tensor: Tensor) {
    guard tensor.elementType == .int32 || tensor.elementType == .int64, tensor.elementCount <= Self.maximumCount,
      let integers = tensor.integers()
    else { return nil }
    self.init(integers.map { .known($0) }, shape: tensor.shape)
  }
}
