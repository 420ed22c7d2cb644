import MartletDiagnostics
import MartletGraph
import MartletRewriting

/// Replaces operations that are written in other operations by these, until none is left.
public struct ExpandComposites: Pass {
  public let name = "ExpandComposites"
  public init() {}

  /// Composites within composites, at most so deep.
  private static let depthLimit = 32

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    var program = program
    for _ in 0..<Self.depthLimit {
      var count = 0
      program = try program.mapFunctions { function, library throws(Diagnostic) in
        var rebuilder = GraphRebuilder(function, library: library)
        return try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
          guard let outputs = try expand(node, operands, &rebuilder) else { return nil }
          count += 1
          return outputs
        }
      }
      if count == 0 { return program }
      context.isChanged = true
    }
    throw Diagnostic("composite operations are nested deeper than \(Self.depthLimit)")
  }

  private func expand(
    _ node: NodeID, _ operands: [Output], _ rebuilder: inout GraphRebuilder
  ) throws(Diagnostic) -> [Output]? {
    let body = rebuilder.source.body
    guard body.traits(of: node).contains(.pure),
      body.operation(of: node).functions.isEmpty || body.stateRole(of: node) == .none,
      case .composite(let expansion) = try body.lowering(of: node)
    else { return nil }
    let graph = rebuilder.graph
    return try graph.withSite(body.site(of: node)) { () throws(Diagnostic) in
      try graph.withReplacementScope(body.name(of: node)) { () throws(Diagnostic) in
        var context = Expansion(graph: graph, operands: operands)
        return try expansion(&context)
      }
    }
  }
}
