import MartletDiagnostics
import MartletGraph

/// Applies rules in one sweep from operands to users; repeat it in a `Fixpoint`.
///
/// The driver, not the rule, checks that types agree, gives new nodes the name, scope and site of the node they replace,
/// and counts firings.
public struct Rewriting: Pass {
  public let name: String
  private let rules: [String: [Rule]]

  public init(_ set: RuleSet) {
    name = "Rewrite(\(set.name))"
    var names: Set<String> = []
    var rules: [String: [Rule]] = [:]
    for rule in set.rules {
      precondition(names.insert(rule.name).inserted, "two rules are named '\(rule.name)'")
      rules[rule.root, default: []].append(rule)
    }
    self.rules = rules
  }

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    try program.mapFunctions { function, library throws(Diagnostic) in
      guard needsWork(function) else { return function }
      var rebuilder = GraphRebuilder(function, library: library)
      let order = function.body.topologicalOrder(results: function.results, targets: function.targets)
      let uses = UseCounts(order, results: function.results, function.body)
      return try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
        try replacement(for: node, operands, rebuilder, uses, &context)
      }
    }
  }

  /// Puts replacements in the place of nodes in the graph itself: all who use or fetch the results see the new values.
  /// One sweep; a replacement may be the root of another rule. A node that waits for others by control edges stays.
  ///
  /// - Parameter nodes: those to look at, operands before users.
  /// - Returns: whether any rule has fired.
  public func rewrite(_ nodes: [NodeID], of graph: Graph) throws(Diagnostic) -> Bool {
    let body = graph.storage
    let uses = UseCounts(body.nodes, results: [], body)
    var isChanged = false
    for node in nodes where rules[body.schema(of: node).name] != nil && body.controls(of: node).isEmpty {
      let site = body.site(of: node)
      let root = Root(node, body, operands: graph.operands(of: node), uses)
      let firing = try graph.withSite(site) { () throws(Diagnostic) in try fire(at: root, graph) }
      guard let firing else { continue }
      for (old, new) in zip(body.results(of: node), firing.outputs) { graph.forward(Output(graph, old), to: new) }
      isChanged = true
    }
    return isChanged
  }

  /// Whether any node could be a rule's root.
  private func needsWork(_ function: GraphFunction) -> Bool {
    function.body.nodes.contains { rules[function.body.schema(of: $0).name] != nil }
  }

  private func replacement(
    for node: NodeID, _ operands: [Output], _ rebuilder: GraphRebuilder, _ uses: UseCounts,
    _ context: inout PassContext
  ) throws(Diagnostic) -> [Output]? {
    let body = rebuilder.source.body
    guard rules[body.schema(of: node).name] != nil else { return nil }
    let graph = rebuilder.graph
    let root = Root(node, body, operands: operands, uses)
    let firstNewNode = NodeID(context.ruleObservers.isEmpty ? 0 : graph.nodeCount)
    let firing = try graph.withSite(root.site) { () throws(Diagnostic) in
      try graph.withReplacementScope(root.name) { () throws(Diagnostic) in try fire(at: root, graph) }
    }
    guard let (rule, match, outputs) = firing else { return nil }
    context.count(rule.name)
    for observe in context.ruleObservers {
      try observe(
        RuleFiring(
          rule: rule, graph: graph, firstNewNode: firstNewNode, name: root.name, site: root.site,
          root: root.operation, operands: operands, bound: match.values.map(\.output), replacement: outputs))
    }
    return outputs
  }

  /// A node that may be replaced, over operands in the graph that is written.
  private struct Root {
    let name: String
    let schema: Schema
    let operation: any Operation
    let site: BuildSite
    let operands: [Output]
    let types: [ValueType]
    /// Whether nobody else uses the operands, constants left out.
    let isSoleUser: Bool

    init(_ node: NodeID, _ body: GraphStorage, operands: [Output], _ uses: UseCounts) {
      name = body.name(of: node)
      schema = body.schema(of: node)
      operation = body.operation(of: node)
      site = body.site(of: node)
      self.operands = operands
      types = body.results(of: node).map { body.type(of: $0) }
      isSoleUser = body.operands(of: node).allSatisfy { uses[$0] == 1 || body.constant($0) != nil }
    }
  }

  /// The first rule that replaces a node, if any does.
  private func fire(
    at root: Root, _ graph: Graph
  ) throws(Diagnostic) -> (rule: Rule, match: Match, outputs: [Output])? {
    for rule in rules[root.schema.name] ?? [] {
      guard case .node(_, let patterns, _) = rule.pattern, !rule.needsSoleUse || root.isSoleUser else { continue }
      var match = Match(graph: graph, root: root.operation, operands: root.operands, resultTypes: root.types)
      let isCommutative = root.schema.traits.contains(.commutative)
      guard match.bind(patterns, to: root.operands, isCommutative: isCommutative),
        let outputs = try rule.replacement(match)
      else { continue }
      for (output, type) in zip(outputs, root.types) {
        guard output.elementType == type.elementType, output.shape.isCompatible(with: type.shape) else {
          throw Diagnostic(
            "rule '\(rule.name)' replaces \(type) by \(output.type)", operation: "\(root.schema.name) '\(root.name)'",
            site: root.site, hint: "this is a fault of the rule, not of the graph")
        }
      }
      return (rule, match, outputs)
    }
    return nil
  }
}

/// How often each value of a graph is used by nodes and as a result.
private struct UseCounts {
  private var counts: [Int32]

  init(_ nodes: some Sequence<NodeID>, results: [ValueID], _ body: GraphStorage) {
    counts = Array(repeating: 0, count: body.valueCount)
    for node in nodes { for operand in body.operands(of: node) { counts[Int(operand.index)] += 1 } }
    for result in results { counts[Int(body.resolve(result).index)] += 1 }
  }

  subscript(value: ValueID) -> Int { Int(counts[Int(value.index)]) }
}
