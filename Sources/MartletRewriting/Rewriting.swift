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
      return try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
        try replacement(for: node, operands, &rebuilder, &context)
      }
    }
  }

  /// Whether any node could be a rule's root.
  private func needsWork(_ function: GraphFunction) -> Bool {
    function.body.nodes.contains { rules[function.body.schema(of: $0).name] != nil }
  }

  private func replacement(
    for node: NodeID, _ operands: [Output], _ rebuilder: inout GraphRebuilder, _ context: inout PassContext
  ) throws(Diagnostic) -> [Output]? {
    let body = rebuilder.source.body
    guard let candidates = rules[body.schema(of: node).name] else { return nil }
    let graph = rebuilder.graph
    let types = body.results(of: node).map { body.type(of: $0) }
    for rule in candidates {
      guard case .node(_, let patterns, _) = rule.pattern else { continue }
      var match = Match(graph: graph, root: body.operation(of: node), operands: operands, resultTypes: types)
      let isCommutative = body.traits(of: node).contains(.commutative)
      guard match.bind(patterns, to: operands, isCommutative: isCommutative) else { continue }
      let bound = match
      let scope = body.name(of: node)
      let outputs = try graph.withSite(body.site(of: node)) { () throws(Diagnostic) in
        try graph.withReplacementScope(scope) { () throws(Diagnostic) in try rule.replacement(bound) }
      }
      guard let outputs else { continue }
      for (output, type) in zip(outputs, types) {
        guard output.elementType == type.elementType, output.shape.isCompatible(with: type.shape) else {
          throw Diagnostic(
            "rule '\(rule.name)' replaces \(type) by \(output.type)",
            operation: "\(body.schema(of: node).name) '\(body.name(of: node))'", site: body.site(of: node),
            hint: "this is a fault of the rule, not of the graph")
        }
      }
      context.count(rule.name)
      return outputs
    }
    return nil
  }
}
