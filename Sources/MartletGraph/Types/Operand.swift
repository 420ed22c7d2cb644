import MartletTensors

/// What inference, gradients and lowerings may know of an operand.
public struct Operand: Sendable {
  public var type: ValueType
  /// Its elements, if it is an integer array that is known while the graph is built.
  public var known: KnownValue?
  /// Its value, if it is a constant.
  public var constant: Constant?

  public init(_ type: ValueType, known: KnownValue? = nil, constant: Constant? = nil) {
    (self.type, self.known, self.constant) = (type, known, constant)
  }

  public var shape: Shape { type.shape }
  public var elementType: ElementType? { type.elementType }

  /// The operand's elements as numbers, if it is an integer array that is known: a shape, an axis, a permutation.
  public var integers: [Int]? { known?.integers ?? constant?.integers }
  /// The operand's only element, if it is known.
  public var integer: Int? {
    guard let all = integers, all.count == 1 else { return nil }
    return all[0]
  }
}

/// The type of a result and, for small integer arrays, what is known of its elements.
public struct Inference: Sendable {
  public var type: ValueType
  public var known: KnownValue?

  public init(_ type: ValueType, known: KnownValue? = nil) { (self.type, self.known) = (type, known) }
  public init(_ elementType: ElementType, _ shape: Shape, known: KnownValue? = nil) {
    self.init(.tensor(elementType, shape), known: known)
  }
}
