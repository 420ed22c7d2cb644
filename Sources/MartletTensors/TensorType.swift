/// The type of a symbolic tensor: its elements' type, and what is known of its shape.
///
/// Printed as `float32[?, 28, 28, 1]`.
public struct TensorType: Hashable, Sendable {
  public var elementType: ElementType
  public var shape: Shape

  public init(_ elementType: ElementType, _ shape: Shape) {
    self.elementType = elementType
    self.shape = shape
  }

  /// The text with anonymous symbols numbered in order of first appearance; see ``Dimension/description(names:)``.
  public func description(names: inout [Dimension.Symbol: Int]) -> String {
    elementType.name + shape.description(names: &names)
  }
}

extension TensorType: CustomStringConvertible {
  public var description: String { elementType.name + shape.description }
}
