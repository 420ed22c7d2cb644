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
      let same = Self.equalNodes(function)
      guard !same.isEmpty else { return function }
      count += same.count
      var rebuilder = GraphRebuilder(function, library: library)
      return try rebuilder.run { rebuilder, node, _ throws(Diagnostic) in
        same[node].map { first in rebuilder.source.body.results(of: first).map { rebuilder.map($0) } }
      }
    }
    for _ in 0..<count { context.count("merge-common-subexpressions") }
    return result
  }

  /// For each node that computes what one before it does, the first such node.
  private static func equalNodes(_ function: GraphFunction) -> [NodeID: NodeID] {
    let body = function.body
    var same: [NodeID: NodeID] = [:]
    var known: [Key: NodeID] = [:]
    for node in body.topologicalOrder(results: function.results, targets: function.targets) {
      let traits = body.traits(of: node)
      guard traits.contains(.pure), !traits.contains(.argument), body.controls(of: node).isEmpty else { continue }
      var operands = body.operands(of: node)
      if !same.isEmpty {
        operands = operands.map { operand in
          guard let first = same[body.producer(of: operand)] else { return operand }
          return body.results(of: first)[body.resultNumber(of: operand)]
        }
      }
      if traits.contains(.commutative) { operands.sort() }
      let key = Key(operation: body.operationID(of: node), operands: operands, device: body.scope(of: node).device)
      if let first = known[key] { same[node] = first } else { known[key] = node }
    }
    return same
  }
}
