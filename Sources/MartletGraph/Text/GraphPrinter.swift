import MartletTensors

/// Writes graphs, functions and programs in the text form, one node a line.
///
/// ```
/// function @main(%x: float32[?, 4]) {
///   %w = Const() {value: float32[4, 2] <…>} : float32[4, 2]
///   %y = MatMul(%x, %w) {transpose_a: false, transpose_b: false} : float32[?, 2]
///   return %y
/// }
/// ```
public struct GraphPrinter {
  private let attributes: AttributePrinter

  /// - Parameter elementLimit: arrays with more elements are written as `<…>`, which is shorter but cannot be read back.
  public init(elementLimit: Int? = nil) { attributes = AttributePrinter(elementLimit: elementLimit) }

  /// All nodes of a graph, each after what it needs and otherwise in the order of their rows, then its sub-graphs.
  public func print(_ graph: Graph) -> String {
    var text = "graph {\n"
    let storage = graph.storage
    for node in storage.topologicalOrder(results: [], targets: Array(storage.nodes)) {
      text += "  \(line(node, storage))\n"
    }
    text += "}\n"
    for function in graph.liveLibrary.functions { text += "\n" + print(function) }
    return text
  }

  /// A program's main function, then the sub-graphs.
  public func print(_ program: Program) -> String {
    ([program.main] + program.library.functions).map(print).joined(separator: "\n")
  }

  /// The nodes of a function that its results and targets need, in topological order.
  public func print(_ function: GraphFunction) -> String {
    let body = function.body
    let arguments = function.arguments.map { value in
      "%\(AttributePrinter.name(body.name(of: value))): \(AttributePrinter.print(body.type(of: value)))"
    }
    var text = "function @\(AttributePrinter.name(function.name))(\(arguments.joined(separator: ", "))) {\n"
    let isArgument = Set(function.arguments.map { body.producer(of: $0) })
    for node in body.topologicalOrder(results: function.results, targets: function.targets)
    where !isArgument.contains(node) {
      text += "  \(line(node, body))\n"
    }
    text += "  return"
    let results = function.results.map { reference(body.resolve($0), body) }
    if !results.isEmpty { text += " \(results.joined(separator: ", "))" }
    let targets = function.targets.map { "%\(AttributePrinter.name(body.name(of: body.resolve($0))))" }
    if !targets.isEmpty { text += " after \(targets.joined(separator: ", "))" }
    if let gradient = function.gradient { text += " gradient @\(AttributePrinter.name(gradient.name))" }
    return text + "\n}\n"
  }

  private func line(_ node: NodeID, _ body: GraphStorage) -> String {
    let operands = body.operands(of: node).map { reference($0, body) }.joined(separator: ", ")
    let foreign = body.operation(of: node) as? ForeignOperation
    let name = (foreign == nil ? "" : "?") + AttributePrinter.name(body.schema(of: node).name)
    var text = "%\(AttributePrinter.name(body.name(of: node))) = \(name)(\(operands))"
    var items = body.attributes(of: node).items
    if let names = foreign?.resultNames { items.append(names) }
    if !items.isEmpty {
      let list = items.map { "\(AttributePrinter.name($0.name)): \(attributes.print($0.value))" }
      text += " {\(list.joined(separator: ", "))}"
    }
    let controls = body.controls(of: node)
    if !controls.isEmpty {
      text += " after \(controls.map { "%\(AttributePrinter.name(body.name(of: $0)))" }.joined(separator: ", "))"
    }
    let device = body.scope(of: node).device
    if !device.isEmpty { text += " on \(AttributePrinter.quote(Array(device.utf8)))" }
    let types = body.results(of: node).map { AttributePrinter.print(body.type(of: $0)) }
    if !types.isEmpty { text += " : \(types.joined(separator: ", "))" }
    return text
  }

  private func reference(_ value: ValueID, _ body: GraphStorage) -> String {
    let name = "%\(AttributePrinter.name(body.name(of: body.producer(of: value))))"
    let number = body.resultNumber(of: value)
    return number == 0 ? name : "\(name):\(number)"
  }
}
