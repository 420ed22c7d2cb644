import MartletGraph
import MartletTensors

/// Draws graphs and functions in DOT.
///
/// Scopes are boxes; small constants stand in the label of the node that uses them; a variable and its reading are one
/// cylinder; edges carry shapes. Where there would be more than `maximumNodes` nodes, the deepest scopes are drawn as one
/// node each, level by level, so that a network of hundreds of operations stays readable.
public struct GraphDOT {
  /// The number of nodes above which scopes are folded.
  public var maximumNodes: Int
  /// Constants of at most so many elements are written into the labels of their users.
  public var inlineConstantCount: Int

  public init(maximumNodes: Int = 120, inlineConstantCount: Int = 8) {
    (self.maximumNodes, self.inlineConstantCount) = (maximumNodes, inlineConstantCount)
  }

  /// The DOT text of a graph and its sub-graphs.
  ///
  /// - Parameter outputs: if given, only what they need is drawn.
  public func text(_ graph: Graph, outputs: [Output] = [], title: String = "graph") -> String {
    let storage = graph.storage
    let nodes =
      outputs.isEmpty
      ? Array(storage.nodes) : storage.topologicalOrder(results: outputs.map(\.id), targets: [])
    let whole = GraphFunction(name: title, body: storage, arguments: [], results: outputs.map(\.id))
    return text(title, [(whole, nodes)] + graph.library.functions.map { ($0, $0.neededNodes) })
  }

  /// The DOT text of a compiled program and its sub-graphs.
  public func text(_ program: Program, title: String = "program") -> String {
    let functions = program.reachableFunctionsInLibrary
    return text(title, ([program.main] + functions).map { ($0, $0.neededNodes) })
  }

  private func text(_ title: String, _ functions: [(function: GraphFunction, nodes: [NodeID])]) -> String {
    var writer = DOTWriter(title: title)
    for (number, part) in functions.enumerated() {
      let cluster = number == 0 ? writer.root : writer.root.child("function \(part.function.name)")
      let drawing = FunctionDrawing(part.function, part.nodes, prefix: "f\(number)_", options: self)
      drawing.draw(in: cluster, &writer.edges)
    }
    return writer.text()
  }
}

extension GraphFunction {
  /// Arguments and all that results and targets need.
  var neededNodes: [NodeID] {
    let arguments = arguments.map { body.producer(of: $0) }
    let known = Set(arguments)
    return arguments + body.topologicalOrder(results: results, targets: targets).filter { !known.contains($0) }
  }
}

extension Program {
  var reachableFunctionsInLibrary: [GraphFunction] { library.functions }
}
