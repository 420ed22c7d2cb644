import MartletDiagnostics
import MartletGraph
import MartletRewriting

/// Drops what neither results nor effects need, and sub-graphs that nothing runs.
public struct EliminateDeadNodes: Pass {
  public let name = "EliminateDeadNodes"
  public init() {}

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    var result = try program.mapFunctions { function, library throws(Diagnostic) in
      let needed = function.body.topologicalOrder(results: function.results, targets: function.targets).count
      let arguments = Set(function.arguments.map { function.body.producer(of: $0) })
      guard needed + arguments.count < function.body.nodeCount else { return function }
      var rebuilder = GraphRebuilder(function, library: library)
      return try rebuilder.run()
    }
    var library = FunctionLibrary()
    for name in result.reachableFunctions() {
      if let function = result.library[name] { library.replace(function) }
    }
    result.library = library
    return result
  }
}
