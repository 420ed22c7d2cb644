import MartletDiagnostics
import MartletTensors

/// Copies the part of a function that its results and targets need into fresh storage: in topological order, forwarding
/// resolved, types inferred again. Passes that replace nodes do so on the way.
///
/// Nodes keep their names, sites and scopes.
public struct GraphRebuilder {
  /// What to put in the place of a node: values of the new graph, one for each result, or nil to copy the node.
  public typealias Replacement = (inout GraphRebuilder, NodeID, [Output]) throws(Diagnostic) -> [Output]?

  /// The graph that is read.
  public let source: GraphFunction
  public let library: FunctionLibrary
  /// The graph that is written.
  public let graph: Graph
  private var values: [Output?]
  private var nodes: [NodeID?]
  private var copier: NodeCopier

  public init(_ source: GraphFunction, library: FunctionLibrary) {
    self.source = source
    self.library = library
    graph = Graph(GraphStorage(), library: library)
    values = Array(repeating: nil, count: source.body.valueCount)
    nodes = Array(repeating: nil, count: source.body.nodeCount)
    copier = NodeCopier(source.body)
    graph.write { $0.storage.reserve(nodes: source.body.nodeCount, values: source.body.valueCount) }
  }

  /// Rebuilds the function.
  ///
  /// - Parameters:
  ///   - argumentTypes: the new types of the arguments; what they were by default.
  ///   - replace: called for each needed node but the arguments, in order, with its operands in the new graph.
  /// - Throws: the first mistake that inference finds, if types no longer fit.
  public mutating func run(
    argumentTypes: [ValueType]? = nil, _ replace: Replacement = { (_, _, _) throws(Diagnostic) in nil }
  ) throws(Diagnostic) -> GraphFunction {
    let body = source.body
    for (i, argument) in source.arguments.enumerated() {
      let node = body.producer(of: argument)
      let type = argumentTypes?[i] ?? body.type(of: argument)
      values[Int(argument.index)] =
        graph.add(
          Argument(index: i, type: type), name: body.name(of: node), site: body.site(of: node))[0]
      nodes[Int(node.index)] = values[Int(argument.index)]?.node
      if let value = values[Int(argument.index)] { copier.compare(argument, value) }
    }
    for node in body.topologicalOrder(results: source.results, targets: source.targets) {
      guard nodes[Int(node.index)] == nil else { continue }
      try copy(node, replace)
    }
    let results = source.results.map { map($0).id }
    let targets = source.targets.compactMap { nodes[Int(body.resolve($0).index)] }
    return GraphFunction(
      name: source.name, body: graph.storage, arguments: source.arguments.map { map($0).id }, results: results,
      targets: targets, gradient: source.gradient)
  }

  /// The new graph's value for one of the old graph.
  public func map(_ value: ValueID) -> Output {
    guard let output = values[Int(source.body.resolve(value).index)] else {
      preconditionFailure("value \(source.body.name(of: value)) was not rebuilt before its user")
    }
    return output
  }

  /// The new graph's nodes that must run before `node` of the old one.
  public func controls(of node: NodeID) -> [NodeID] {
    source.body.controls(of: node).compactMap { nodes[Int($0.index)] }
  }

  private mutating func copy(_ node: NodeID, _ replace: Replacement) throws(Diagnostic) {
    let operands = source.body.operands(of: node).map { map($0) }
    if let outputs = try replace(&self, node, operands) {
      precondition(outputs.count == source.body.resultCount(of: node), "a replacement gives each result")
      for (old, new) in zip(source.body.results(of: node), outputs) {
        values[Int(old.index)] = new
        copier.compare(old, new)
      }
      // What has no results is there for its effects: the node that was added last.
      nodes[Int(node.index)] = outputs.first?.node ?? NodeID(graph.nodeCount - 1)
      return
    }
    let controls = controls(of: node)
    if copier.canCopy(node) {
      let new = graph.write { copier.copy(node, operands.map(\.id), controls, to: &$0.storage) }
      nodes[Int(node.index)] = new.node
      for (i, old) in source.body.results(of: node).enumerated() {
        values[Int(old.index)] = Output(graph, ValueID(Int(new.firstResult.index) + i))
      }
      return
    }
    let new = graph.insert(
      source.body.operation(of: node), operands, name: source.body.name(of: node), controls: controls,
      site: source.body.site(of: node),
      scope: source.body.scope(of: node))
    if let mistake = graph.diagnostics.last { throw mistake }
    for (old, new) in zip(source.body.results(of: node), new.outputs) {
      values[Int(old.index)] = new
      copier.compare(old, new)
    }
    nodes[Int(node.index)] = new.node
  }
}

extension Graph {
  /// Adds a node in an explicit scope, under a name that already has its scope in it.
  public func insert(
    _ operation: any Operation, _ operands: [Output], name: String, controls: [NodeID], site: BuildSite,
    scope: NodeScope
  ) -> (node: NodeID, outputs: [Output]) {
    write { state in
      let outer = state.scopes
      let outerSite = state.fixedSite
      state.scopes = [NodeScope(name: "", device: scope.device)]
      state.fixedSite = nil
      defer {
        state.scopes = outer
        state.fixedSite = outerSite
      }
      let outputs = state.add(operation, operands, graph: self, name: name, controls: controls, site: site)
      return (NodeID(state.storage.nodeCount - 1), outputs)
    }
  }
}

extension GraphStorage {
  /// The nodes that results and targets need, over data and control edges, each after what it needs; otherwise in the
  /// order of their rows.
  public func topologicalOrder(results: [ValueID], targets: [NodeID]) -> [NodeID] {
    var isNeeded = [Bool](repeating: false, count: rows.count)
    var stack = results.map { producer(of: resolve($0)) } + targets.map { resolve($0) }
    while let node = stack.popLast() {
      guard !isNeeded[Int(node.index)] else { continue }
      isNeeded[Int(node.index)] = true
      for operand in operands(of: node) { stack.append(producer(of: operand)) }
      stack += controls(of: node)
    }
    var order: [NodeID] = []
    // Without forwarding, rows are in topological order already.
    if forwards.isEmpty, replacements.isEmpty {
      for i in 0..<rows.count where isNeeded[i] { order.append(NodeID(i)) }
      return order
    }
    // A depth-first walk with an explicit stack, started in row order; a replacement counts as where it was put.
    var mark = [UInt8](repeating: 0, count: rows.count)
    var walk: [(node: NodeID, isLeaving: Bool)] = []
    for i in 0..<rows.count {
      let start = resolve(NodeID(i))
      guard isNeeded[Int(start.index)], mark[Int(start.index)] == 0 else { continue }
      walk.append((start, false))
      while let (node, isLeaving) = walk.popLast() {
        if isLeaving {
          order.append(node)
          continue
        }
        guard mark[Int(node.index)] == 0 else { continue }
        mark[Int(node.index)] = 1
        walk.append((node, true))
        for operand in operands(of: node).reversed() {
          let next = producer(of: operand)
          if mark[Int(next.index)] == 0 { walk.append((next, false)) }
        }
        for next in controls(of: node).reversed() where mark[Int(next.index)] == 0 { walk.append((next, false)) }
      }
    }
    return order
  }
}
