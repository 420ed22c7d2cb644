import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletPasses
import MartletRewriting
import MartletTensors

/// One differentiation: walks a graph from outputs to inputs, without recursion, and appends the gradients.
struct ReverseMode {
  let graph: Graph
  /// The graph as it was before gradients were added, composites expanded.
  private var storage: GraphStorage
  /// For each value, whether it depends on an input.
  private var isActive: [Bool] = []
  /// For each value, what has come in so far.
  private var incoming: [ValueID: [Cotangent]] = [:]

  init(_ graph: Graph) {
    self.graph = graph
    storage = graph.storage
  }

  /// The cotangents of `inputs`. Types have been checked.
  mutating func run(
    outputs: [Output], upstream: [Output], inputs: [Output], stopping: [Output]
  ) throws(Diagnostic) -> [Cotangent] {
    var order = try prepare(outputs)
    let targets = inputs.map { storage.resolve($0.id) }
    let stops = Set(stopping.map { storage.resolve($0.id) })
    markActive(order, targets: targets, stops: stops)
    // The gradient of an expression that overflows is worth less than the expression. Only what is differentiated is
    // replaced in the graph itself; what is not may be when it is compiled.
    for _ in 0..<Self.stabilityRounds {
      guard try Self.stability.rewrite(activeNodes(order), of: graph) else { break }
      order = try prepare(outputs)
      markActive(order, targets: targets, stops: stops)
    }
    for (output, start) in zip(outputs, upstream) {
      let value = storage.resolve(output.id)
      if isActive[Int(value.index)] { incoming[value, default: []].append(.dense(start)) }
    }
    for node in order.reversed() { try differentiate(node, stops) }
    var results: [Cotangent] = []
    for target in targets { results.append(total(of: target)) }
    return results
  }

  /// A replacement may be stabilised in turn, by a rule that looks at it from a user.
  private static let stabilityRounds = 8
  private static let stability = Rewriting(.stability)

  private func activeNodes(_ order: [NodeID]) -> [NodeID] {
    order.filter { node in storage.operands(of: node).contains { isActive[Int($0.index)] } }
  }

  /// Expands composites until none is left, and returns the nodes that the outputs need.
  private mutating func prepare(_ outputs: [Output]) throws(Diagnostic) -> [NodeID] {
    while true {
      storage = graph.storage
      let order = storage.topologicalOrder(results: outputs.map(\.id), targets: [])
      var isExpanded = false
      for node in order where storage.operation(of: node).differentiation == .expansion {
        try expand(node, in: graph, storage: storage)
        isExpanded = true
      }
      if !isExpanded { return order }
    }
  }

  private mutating func markActive(_ order: [NodeID], targets: [ValueID], stops: Set<ValueID>) {
    isActive = Array(repeating: false, count: storage.valueCount)
    for target in targets where storage.type(of: target).isDifferentiable { isActive[Int(target.index)] = true }
    for node in order {
      guard storage.operands(of: node).contains(where: { isActive[Int($0.index)] }) else { continue }
      if storage.stateRole(of: node) != .read, case .none = storage.operation(of: node).differentiation { continue }
      for result in storage.results(of: node) where !stops.contains(result) {
        if storage.type(of: result).isDifferentiable { isActive[Int(result.index)] = true }
      }
    }
  }

  /// Hands what has come in for a node's results on to its operands.
  private mutating func differentiate(_ node: NodeID, _ stops: Set<ValueID>) throws(Diagnostic) {
    let operands = storage.operands(of: node)
    let isNeeded = operands.map { isActive[Int($0.index)] }
    guard isNeeded.contains(true) else { return }
    let results = storage.results(of: node)
    guard results.contains(where: { incoming[$0] != nil && !stops.contains($0) }) else { return }
    let operation = storage.operation(of: node)

    var failure: Diagnostic?
    var cotangents: [Cotangent] = []
    let storage = storage
    graph.withSite(storage.site(of: node)) {
      graph.withNameScope("\(storage.name(of: node))_grad") {
        do throws(Diagnostic) {
          let totals = results.map { stops.contains($0) ? Cotangent.none : total(of: $0) }
          if storage.stateRole(of: node) == .read {
            // The value read is the variable's.
            cotangents = [totals[0]]
            return
          }
          if case .none = operation.differentiation { return }
          var context = GradientContext(
            graph: graph, operands: operands.map { Output(graph, $0) }, results: results.map { Output(graph, $0) },
            upstream: totals.map(dense), isNeeded: isNeeded, differentiator: .reverseMode)
          cotangents = try operation.gradient(&context)
          try check(cotangents, operands, node)
        } catch {
          failure = error
        }
      }
    }
    if var failure {
      failure.operation = failure.operation ?? "\(storage.schema(of: node).name) '\(storage.name(of: node))'"
      failure.site = storage.site(of: node)
      throw failure
    }
    for (i, cotangent) in cotangents.enumerated() where isNeeded[i] {
      if case .none = cotangent { continue }
      incoming[operands[i], default: []].append(cotangent)
    }
  }

  /// What a rule gives must fit its operands, or a wrong rule would show up far away.
  private func check(_ cotangents: [Cotangent], _ operands: [ValueID], _ node: NodeID) throws(Diagnostic) {
    let schema = storage.schema(of: node)
    guard cotangents.count == operands.count else {
      throw Diagnostic(
        "the gradient rule of \(schema.name) gives a wrong number of cotangents",
        required: "one for each of \(operands.count) operands", found: "\(cotangents.count)")
    }
    for (i, cotangent) in cotangents.enumerated() {
      guard case .dense(let value) = cotangent, let given = value.type.tensor,
        let wanted = storage.type(of: operands[i]).content
      else { continue }
      guard given.elementType == wanted.elementType, given.shape.isCompatible(with: wanted.shape) else {
        throw Diagnostic(
          "the gradient rule of \(schema.name) gives a cotangent that does not fit",
          operand: schema.inputName(i, of: operands.count), required: "\(wanted)", found: "\(given)",
          hint: "undo broadcasting with sumToShape(_:of:)")
      }
    }
  }

  /// The sum of what has come in for a value; afterwards that is all that has.
  private mutating func total(of value: ValueID) -> Cotangent {
    guard let parts = incoming[value] else { return .none }
    if parts.count == 1 { return parts[0] }
    let sum = summed(parts)
    incoming[value] = [sum]
    return sum
  }
}

extension ValueType {
  /// Whether a value of this type can have a gradient.
  var isDifferentiable: Bool { content?.elementType.isFloatingPoint ?? false }
}

extension Differentiator {
  /// What rules are given.
  static let reverseMode = Differentiator(
    gradients: { (outputs, inputs, upstream) throws(Diagnostic) in
      guard let graph = outputs.first?.graph else { return inputs.map { _ in nil } }
      var mode = ReverseMode(graph)
      return try mode.run(outputs: outputs, upstream: upstream, inputs: inputs, stopping: inputs).map(dense)
    },
    derivatives: { (graph, functions, hasUpstream, isNeeded) throws(Diagnostic) in
      try addDerivatives(of: functions, to: graph, hasUpstream: hasUpstream, isNeeded: isNeeded)
    })
}
