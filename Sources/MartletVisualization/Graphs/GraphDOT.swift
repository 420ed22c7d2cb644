import MartletGraph
import MartletTensors

/// Draws graphs and compiled programs in DOT, for Graphviz.
///
///     let text = GraphDOT().text(graph)      // dot -Tsvg graph.dot -o graph.svg
///
/// Scopes are boxes; small constants stand in the label of the node that uses them; a variable, its reading and its
/// first value are one cylinder; edges carry shapes; what a library computes is blue and what becomes a kernel violet.
/// Where there would be more than `maximumNodes` nodes, parameters move into labels, chains of operations become one
/// node, and scopes are folded, so that a network of hundreds of operations stays readable.
public struct GraphDOT: Sendable {
  /// The number of nodes above which the drawing is made simpler.
  public var maximumNodes: Int
  /// Constants of at most so many elements are written into the labels of their users.
  public var inlineConstantCount: Int
  /// Whether tooltips name the line that built a node. Looking it up takes a fraction of a millisecond a node.
  public var showsSites: Bool

  public init(maximumNodes: Int = 70, inlineConstantCount: Int = 8, showsSites: Bool = true) {
    self.maximumNodes = maximumNodes
    self.inlineConstantCount = inlineConstantCount
    self.showsSites = showsSites
  }

  /// The DOT text of a graph and its sub-graphs.
  ///
  /// - Parameter outputs: if given, only what they need is drawn.
  public func text(_ graph: Graph, outputs: [Output] = [], title: String = "graph") -> String {
    let storage = graph.storage
    let results = outputs.map { storage.resolve($0.id) }
    let nodes = outputs.isEmpty ? Array(storage.nodes) : storage.topologicalOrder(results: results, targets: [])
    let whole = GraphFunction(name: title, body: storage, arguments: [], results: results)
    return text(title, [(whole, nodes)] + graph.library.functions.map { ($0, $0.neededNodes) })
  }

  /// The DOT text of a compiled program and the sub-graphs that it runs.
  public func text(_ program: Program, title: String = "program") -> String {
    let functions = program.neededFunctions
    return text(title, ([program.main] + functions).map { ($0, $0.neededNodes) }, variables: program.variables)
  }

  private func text(
    _ title: String, _ functions: [(function: GraphFunction, nodes: [NodeID])], variables: [VariableBinding] = []
  ) -> String {
    var writer = DOTWriter(title: title)
    var drawn = 0
    for (number, part) in functions.enumerated() {
      let cluster = number == 0 ? writer.root : writer.root.child("function \(part.function.name)")
      let drawing = FunctionDrawing(
        part.function, part.nodes, prefix: "f\(number)_", options: self, variables: number == 0 ? variables : [])
      drawing.draw(in: cluster, &writer.edges)
      drawn += drawing.drawnCount
    }
    let count = functions.reduce(0) { $0 + $1.nodes.count }
    writer.subtitle = "\(count) operations" + (drawn < count ? ", drawn as \(drawn)" : "")
    return writer.text()
  }
}

extension GraphFunction {
  /// Arguments and all that results and targets need.
  fileprivate var neededNodes: [NodeID] {
    let arguments = arguments.map { body.producer(of: $0) }
    let known = Set(arguments)
    return arguments + body.topologicalOrder(results: results, targets: targets).filter { !known.contains($0) }
  }
}

extension Program {
  /// The sub-graphs that the main function runs, directly or through others, in the order of the library.
  fileprivate var neededFunctions: [GraphFunction] {
    var needed: Set<FunctionName> = []
    var open = [main]
    while let function = open.popLast() {
      for node in function.neededNodes {
        for name in function.body.operation(of: node).functions where needed.insert(name).inserted {
          if let callee = library[name] { open.append(callee) }
        }
      }
    }
    return library.functions.filter { needed.contains(FunctionName($0.name)) }
  }
}
