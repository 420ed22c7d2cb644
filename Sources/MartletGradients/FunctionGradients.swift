import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors

/// Adds the gradient of a sub-graph to a graph's library; see `Differentiator.gradientFunction`.
func addGradientFunction(
  to graph: Graph, of name: FunctionName, hasUpstream: [Bool], isNeeded: [Bool]
) throws(Diagnostic) -> FunctionName {
  guard let function = graph.library[name] else {
    throw Diagnostic("there is no function \(name) in the graph")
  }
  try checkState(of: function, library: graph.library)
  let signature = function.signature
  let upstreamTypes = zip(signature.results, hasUpstream).filter(\.1).map(\.0)
  var failure: Diagnostic?
  let built = graph.buildFunction("\(name.name)_grad", arguments: signature.arguments + upstreamTypes) { arguments in
    let own = Array(arguments.prefix(signature.arguments.count))
    do throws(Diagnostic) {
      return try argumentGradients(
        function, own, upstream: Array(arguments.dropFirst(own.count)), hasUpstream: hasUpstream, isNeeded: isNeeded)
    } catch {
      failure = error
      return []
    }
  }
  if let failure { throw failure }
  return built.name
}

/// The gradient of a sub-graph computes it again. What it then reads must be what it read before.
private func checkState(of function: GraphFunction, library: FunctionLibrary) throws(Diagnostic) {
  let body = function.body
  var assigned: Set<ValueID> = []
  for node in body.nodes where assigns(node, body, library) {
    assigned.formUnion(body.operands(of: node).filter { if case .resource = body.type(of: $0) { true } else { false } })
  }
  guard !assigned.isEmpty else { return }
  for node in body.topologicalOrder(results: function.results, targets: [])
  where !body.traits(of: node).contains(.argument) {
    guard let variable = body.operands(of: node).first(where: assigned.contains) else { continue }
    throw Diagnostic(
      "a sub-graph that uses and assigns one variable has no gradient",
      found:
        "\(body.schema(of: node).name) '\(body.name(of: node))' of '\(body.name(of: variable))' in \(function.name)",
      hint: "read the variable before, or assign it behind the branch or call")
  }
}

/// Whether a node assigns a variable, itself or in a sub-graph.
private func assigns(_ node: NodeID, _ body: GraphStorage, _ library: FunctionLibrary) -> Bool {
  switch body.stateRole(of: node) {
  case .assign, .accumulate: return true
  default:
    return body.operation(of: node).functions.contains { name in
      guard let inner = library[name]?.body else { return false }
      return inner.nodes.contains { assigns($0, inner, library) }
    }
  }
}

private func argumentGradients(
  _ function: GraphFunction, _ arguments: [Output], upstream: [Output], hasUpstream: [Bool], isNeeded: [Bool]
) throws(Diagnostic) -> [Output] {
  let needed = zip(arguments, isNeeded).filter(\.1).map(\.0)
  guard let graph = arguments.first?.graph else { return [] }
  let results = graph.inline(function, arguments)
  var next = upstream.makeIterator()
  let given = hasUpstream.map { $0 ? next.next() : nil }
  if let custom = function.gradient {
    guard let rule = graph.library[custom] else { throw Diagnostic("there is no function \(custom) in the graph") }
    let weights = zip(results, given).map { result, weight in weight ?? zerosLike(result) }
    guard rule.arguments.count == arguments.count + 2 * results.count, rule.results.count == arguments.count else {
      throw Diagnostic(
        "the gradient \(custom) of \(function.name) has a wrong number of arguments or results",
        required: "\(arguments.count) arguments, \(results.count) results and their upstream gradients, to as many "
          + "gradients as arguments",
        found: "\(rule.arguments.count) arguments and \(rule.results.count) results")
    }
    return zip(graph.inline(rule, arguments + results + weights), isNeeded).filter(\.1).map(\.0)
  }
  let pairs = zip(results, given).compactMap { result, weight in weight.map { (result, $0) } }
  var mode = ReverseMode(graph)
  let found = try mode.run(
    outputs: pairs.map(\.0), upstream: pairs.map(\.1), inputs: needed, stopping: [])
  var gradients: [Output] = []
  for (part, argument) in zip(found, needed) {
    if let gradient = dense(part) { gradients.append(gradient) } else { gradients.append(try zeros(like: argument)) }
  }
  return gradients
}
