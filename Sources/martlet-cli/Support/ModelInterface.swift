import Martlet

/// What can be fed to a model and fetched from it.
struct ModelInterface {
  let graph: Graph
  private let storage: GraphStorage

  init(_ graph: Graph) { (self.graph, storage) = (graph, graph.storage) }

  /// The placeholders, in the order of the graph.
  var inputs: [Output] {
    storage.nodes.filter { storage.traits(of: $0).contains(.placeholder) }
      .compactMap { storage.results(of: $0).first }.map { Output(graph, $0) }
  }

  /// The results of nodes that no other node uses: arrays, but no constants and no inputs.
  var outputs: [Output] {
    var isUsed = [Bool](repeating: false, count: storage.nodeCount)
    for node in storage.nodes {
      for operand in storage.operands(of: node) { isUsed[Int(storage.producer(of: operand).index)] = true }
      for control in storage.controls(of: node) { isUsed[Int(control.index)] = true }
    }
    let left = storage.nodes.filter { node in
      let traits = storage.traits(of: node)
      return !isUsed[Int(node.index)] && !traits.contains(.constant) && !traits.contains(.placeholder)
    }
    return left.flatMap { storage.results(of: $0) }.filter { !isVariable($0) }.map { Output(graph, $0) }
  }

  /// The variables, in the order of the graph.
  var variables: [Output] {
    storage.nodes.flatMap { storage.results(of: $0) }.filter { isVariable($0) }.map { Output(graph, $0) }
  }

  private func isVariable(_ value: ValueID) -> Bool {
    if case .resource = storage.type(of: value) { true } else { false }
  }

  /// How often each operation stands in the graph and its sub-graphs: the most frequent first, else by name.
  var operations: [(name: String, count: Int)] { counts { _ in true } }

  /// The operations that Martlet cannot run.
  var unsupported: [(name: String, count: Int)] { counts { $0 is ForeignOperation } }

  private func counts(_ isWanted: (any Operation) -> Bool) -> [(name: String, count: Int)] {
    var counts: [String: Int] = [:]
    for body in [storage] + graph.library.functions.map(\.body) {
      // By the numbers of interned operations first: a graph may have millions of nodes.
      var nodes: [OperationID: (example: NodeID, count: Int)] = [:]
      for node in body.nodes { nodes[body.operationID(of: node), default: (node, 0)].count += 1 }
      for (example, count) in nodes.values {
        if body.traits(of: example).contains(.argument) || !isWanted(body.operation(of: example)) { continue }
        counts[body.schema(of: example).name, default: 0] += count
      }
    }
    return counts.map { (name: $0.key, count: $0.value) }.sorted { ($1.count, $0.name) < ($0.count, $1.name) }
  }

  // MARK: Names

  /// The value of a name.
  ///
  /// - Throws: a diagnostic if there is none, with what could have been meant.
  func value(named name: String) throws(Diagnostic) -> Output {
    if let output = graph.output(named: name) { return output }
    throw Diagnostic("the model has no value '\(name)'", hint: hint(for: name))
  }

  /// The node of a name, for what it does.
  func node(named name: String) throws(Diagnostic) -> GraphNode {
    if let node = graph.node(named: name) { return GraphNode(graph, node) }
    throw Diagnostic("the model has no node '\(name)'", hint: hint(for: name))
  }

  private func hint(for name: String) -> String {
    if let node = name.split(separator: ":").first.flatMap({ graph.node(named: String($0)) }) {
      let count = storage.resultCount(of: node)
      return "'\(storage.name(of: node))' has \(count) result\(count == 1 ? "" : "s")"
    }
    func list(_ outputs: [Output]) -> String {
      let names = outputs.prefix(8).map(\.name) + (outputs.count > 8 ? ["…"] : [])
      return names.isEmpty ? "none" : names.joined(separator: ", ")
    }
    return "inputs: \(list(inputs)); outputs: \(list(outputs))"
  }

  /// The placeholders that the values and nodes need beside those that are fed.
  func neededInputs(of fetches: [Output], _ targets: [GraphNode], fed: Set<Output>) -> [Output] {
    var isSeen = [Bool](repeating: false, count: storage.nodeCount)
    let fed = Set(fed.map { storage.resolve($0.id) })
    var stack =
      targets.map { storage.resolve($0.id) }
      + fetches.map { storage.resolve($0.id) }.filter { !fed.contains($0) }.map(storage.producer)
    while let node = stack.popLast() {
      guard !isSeen[Int(node.index)] else { continue }
      isSeen[Int(node.index)] = true
      stack += storage.operands(of: node).filter { !fed.contains($0) }.map(storage.producer)
      stack += storage.controls(of: node)
    }
    return inputs.filter { isSeen[Int($0.node.index)] && !fed.contains($0.id) }
  }
}
