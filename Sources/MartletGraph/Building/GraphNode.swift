import MartletDiagnostics

/// A node of a graph, for what is run for its effects and may have no results: an assignment, a training step, a group.
public struct GraphNode: Hashable, Sendable, CustomStringConvertible {
  public let graph: Graph
  public let id: NodeID

  public init(_ graph: Graph, _ id: NodeID) { (self.graph, self.id) = (graph, id) }
  /// The node that computes a value.
  public init(_ output: Output) { self.init(output.graph, output.node) }

  public static func == (a: GraphNode, b: GraphNode) -> Bool { a.id == b.id && a.graph === b.graph }
  public func hash(into hasher: inout Hasher) { hasher.combine(id) }

  /// The node's name, scopes included.
  public var name: String { graph.storage.name(of: id) }
  public var results: [Output] { graph.storage.results(of: id).map { Output(graph, $0) } }
  public var description: String { name }
}

extension Graph {
  /// Adds a node, as `add` does, and returns the node itself.
  @discardableResult
  public func addNode(
    _ operation: any Operation, _ operands: [Output] = [], name: String? = nil, controls: [NodeID] = [],
    site: BuildSite? = nil
  ) -> GraphNode {
    let site = site ?? BuildSite.capture(skipping: 1)
    let target = innermost
    let isCapturing = target.read { $0.capture != nil }
    let near = isCapturing ? operands.map { target.capture($0) } : operands
    return target.write { state in
      _ = state.add(operation, near, graph: target, name: name, controls: controls, site: site)
      return GraphNode(target, NodeID(state.storage.nodeCount - 1))
    }
  }
}
