import MartletDiagnostics
import MartletGraph
import MartletRewriting

/// Merges pure nodes that apply the same operation to the same values.
public struct EliminateCommonSubexpressions: Pass {
  public let name = "EliminateCommonSubexpressions"
  public init() {}

  private struct Key: Hashable {
    var operation: OperationID
    var operands: [ValueID]
    var device: String
  }

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    var count = 0
    let result = try program.mapFunctions { function, library throws(Diagnostic) in
      var known: [Key: [Output]] = [:]
      var rebuilder = GraphRebuilder(function, library: library)
      return try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
        let body = rebuilder.source.body
        let traits = body.traits(of: node)
        guard traits.contains(.pure), !traits.contains(.argument), body.controls(of: node).isEmpty else { return nil }
        var ids = operands.map(\.id)
        if traits.contains(.commutative) { ids.sort() }
        let key = Key(operation: body.operationID(of: node), operands: ids, device: body.scope(of: node).device)
        if let outputs = known[key] {
          count += 1
          return outputs
        }
        let new = rebuilder.graph.insert(
          body.operation(of: node), operands, name: body.name(of: node), controls: [], site: body.site(of: node),
          scope: body.scope(of: node))
        known[key] = new.outputs
        return new.outputs
      }
    }
    for _ in 0..<count { context.count("merge-common-subexpressions") }
    return result
  }
}
