import MartletTensors

/// A symbolic array: a value of a graph, to be computed when the graph runs.
public struct Output: Hashable, Sendable, CustomStringConvertible {
  public let graph: Graph
  public let id: ValueID

  public init(_ graph: Graph, _ id: ValueID) { (self.graph, self.id) = (graph, id) }

  public static func == (a: Output, b: Output) -> Bool { a.id == b.id && a.graph === b.graph }
  public func hash(into hasher: inout Hasher) { hasher.combine(id) }

  /// What the value is: a tensor, a variable, or the result of a mistake.
  public var type: ValueType { graph.type(of: id) }
  public var elementType: ElementType { type.elementType ?? .float32 }
  /// The shape as far as it is known.
  public var shape: Shape { type.shape }
  public var rank: Int? { shape.rank }
  /// The name of the value, `node` or `node:k`.
  public var name: String { graph.name(of: id) }
  public var node: NodeID { graph.producer(of: id) }
  /// The integers that the value is known to hold while the graph is built.
  public var known: KnownValue? { graph.known(id) }
  /// What is known of the value: type, elements, constant.
  public var operand: Operand { graph.operand(id) }

  public var description: String { "\(name): \(type)" }
}
