import MartletGraph
import MartletTensors

/// A shape of expression that a rule looks for.
///
/// ```swift
/// .operation("Mul", .value("x"), .constant("c"))        // either order: Mul is commutative
/// .operation("Neg", .operation("Neg", .value("x")))
/// ```
public indirect enum Pattern: Sendable {
  /// Any value; the same name again must be the same value.
  case value(String)
  /// A constant.
  case constant(String)
  /// The result of an operation of this name with operands that match; `as` names the node.
  case node(String, [Pattern], as: String?)

  public static func operation(_ name: String, _ operands: Pattern..., as label: String? = nil) -> Pattern {
    .node(name, operands, as: label)
  }
}

/// What a pattern's names stand for in a match.
public struct Match: Sendable {
  /// The graph that is being written; replacements add to it.
  public let graph: Graph
  /// The operation at the pattern's root; its node is not in the graph yet.
  public let root: any Operation
  public let operands: [Output]
  /// The types that the replacement must have.
  public let resultTypes: [ValueType]
  var values: [(name: String, output: Output)] = []
  var nodes: [(name: String, node: NodeID)] = []

  init(graph: Graph, root: any Operation, operands: [Output], resultTypes: [ValueType]) {
    self.graph = graph
    self.root = root
    self.operands = operands
    self.resultTypes = resultTypes
  }

  /// The value of a name in the pattern.
  public subscript(name: String) -> Output {
    guard let found = values.first(where: { $0.name == name }) else {
      preconditionFailure("the rule's pattern has no value '\(name)'")
    }
    return found.output
  }

  /// The array behind a constant of the pattern.
  public func constant(_ name: String) -> Tensor {
    guard let constant = self[name].operand.constant else {
      preconditionFailure("the rule's pattern has no constant '\(name)'")
    }
    return constant.tensor
  }

  /// The operation of a named node of the pattern, as the type it must have.
  public func operation<O: Operation>(_ name: String, as type: O.Type) -> O? {
    guard let node = nodes.first(where: { $0.name == name })?.node else { return nil }
    return graph.operation(of: node) as? O
  }

  /// Whether `pattern` describes `value`, binding its names.
  mutating func bind(_ pattern: Pattern, to value: Output) -> Bool {
    switch pattern {
    case .value(let name):
      return bind(name, value)
    case .constant(let name):
      return value.operand.constant != nil && bind(name, value)
    case .node(let name, let patterns, let label):
      let node = graph.producer(of: value.id)
      guard graph.schemaName(of: node) == name, graph.resultNumber(of: value.id) == 0 else { return false }
      let operands = graph.operands(of: node)
      guard bind(patterns, to: operands, isCommutative: graph.traits(of: node).contains(.commutative)) else {
        return false
      }
      if let label { nodes.append((label, node)) }
      return true
    }
  }

  mutating func bind(_ patterns: [Pattern], to outputs: [Output], isCommutative: Bool) -> Bool {
    guard patterns.count == outputs.count else { return false }
    let before = self
    if bindInOrder(patterns, outputs) { return true }
    self = before
    guard isCommutative, outputs.count == 2 else { return false }
    if bindInOrder(patterns, [outputs[1], outputs[0]]) { return true }
    self = before
    return false
  }

  private mutating func bindInOrder(_ patterns: [Pattern], _ outputs: [Output]) -> Bool {
    for (pattern, output) in zip(patterns, outputs) {
      guard bind(pattern, to: output) else { return false }
    }
    return true
  }

  private mutating func bind(_ name: String, _ value: Output) -> Bool {
    if let earlier = values.first(where: { $0.name == name }) { return earlier.output == value }
    values.append((name, value))
    return true
  }
}
