import MartletDiagnostics
import MartletGraph
import MartletRewriting

/// Replaces operations that are written in other operations by these, until none is left but what a library of the target
/// does whole.
public struct ExpandComposites: Pass {
  public let name = "ExpandComposites"
  public init() {}

  /// Composites within composites, at most so deep.
  private static let depthLimit = 32

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    var isChanged = false
    let target = context.target
    let result = try program.mapFunctions { function, library throws(Diagnostic) in
      var function = function
      var candidates = function.body.topologicalOrder(results: function.results, targets: function.targets)
      for _ in 0..<Self.depthLimit {
        let composites = try Self.composites(among: candidates, function.body, target)
        if composites.isEmpty { return function }
        isChanged = true
        var added: Set<NodeID> = []
        var rebuilder = GraphRebuilder(function, library: library)
        function = try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
          guard let expansion = composites[node] else { return nil }
          let first = rebuilder.graph.nodeCount
          let outputs = try expand(node, expansion, operands, rebuilder)
          added.formUnion((first..<rebuilder.graph.nodeCount).map { NodeID($0) })
          return outputs
        }
        // Whatever else there is has been looked at.
        candidates = function.body.topologicalOrder(results: function.results, targets: function.targets)
          .filter { added.contains($0) }
      }
      throw Diagnostic("composite operations are nested deeper than \(Self.depthLimit)")
    }
    if isChanged { context.isChanged = true }
    return result
  }

  private typealias CompositeExpansion = (inout Expansion) throws(Diagnostic) -> [Output]

  /// The composite nodes among those given, with what they are written in.
  private static func composites(
    among nodes: [NodeID], _ body: GraphStorage, _ target: any Target
  ) throws(Diagnostic) -> [NodeID: CompositeExpansion] {
    var found: [NodeID: CompositeExpansion] = [:]
    var lowerings = LoweringTable(body)
    for node in nodes {
      let operation = body.operation(of: node)
      guard body.traits(of: node).contains(.pure), !(operation is any Elementwise),
        operation.functions.isEmpty || body.stateRole(of: node) == .none
      else { continue }
      let lowering = try lowerings.lowering(of: node)
      if case .libraryOrComposite(let contract, _) = lowering {
        let device = body.isOnHost(node, beside: target) ? target.host : target
        if device?.claims(contract) == true { continue }
      }
      guard let expansion = lowering.expansion else { continue }
      found[node] = expansion
    }
    return found
  }

  private func expand(
    _ node: NodeID, _ expansion: CompositeExpansion, _ operands: [Output], _ rebuilder: GraphRebuilder
  ) throws(Diagnostic) -> [Output] {
    let body = rebuilder.source.body
    let graph = rebuilder.graph
    return try graph.withSite(body.site(of: node)) { () throws(Diagnostic) in
      try graph.withReplacementScope(body.name(of: node)) { () throws(Diagnostic) in
        var context = Expansion(graph: graph, operands: operands)
        return try expansion(&context)
      }
    }
  }
}
