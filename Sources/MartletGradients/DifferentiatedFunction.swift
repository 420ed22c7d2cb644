import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors

/// One sub-graph and its gradient, behind it in the same graph.
struct DifferentiatedFunction {
  let function: GraphFunction
  let graph: Graph
  let storage: GraphStorage
  /// The function that is its gradient, if that is not derived from the body.
  let rule: GraphFunction?
  /// The upstream gradients, of the results that have one.
  private let upstream: [ValueID]
  private let hasUpstream: [Bool]
  private let isNeeded: [Bool]
  /// The gradients of the needed arguments; empty if there is a rule.
  private let gradients: [ValueID]
  /// The values that the gradient needs and must not compute again, in the order of their rows.
  let saved: [ValueID]

  init(
    _ function: GraphFunction, library: FunctionLibrary, hasUpstream: [Bool], isNeeded: [Bool]
  ) throws(Diagnostic) {
    (self.function, self.hasUpstream, self.isNeeded) = (function, hasUpstream, isNeeded)
    graph = Graph(function.body, library: library)
    rule = try function.gradient.map { name throws(Diagnostic) in
      try Self.rule(name, of: function, library)
    }
    guard rule == nil else {
      storage = graph.storage
      (upstream, gradients, saved) = ([], [], [])
      return
    }
    var starts: [Output] = []
    var outputs: [Output] = []
    for (result, isGiven) in zip(function.results, hasUpstream) where isGiven {
      let index = function.arguments.count + starts.count
      let type = function.body.type(of: function.body.resolve(result))
      starts.append(graph.addOne(Argument(index: index, type: type), name: "upstream", site: .unknown))
      outputs.append(Output(graph, result))
    }
    let whole = graph
    let inputs = zip(function.arguments, isNeeded).filter(\.1).map { Output(whole, $0.0) }
    var mode = ReverseMode(graph)
    let found = try mode.run(outputs: outputs, upstream: starts, inputs: inputs, stopping: [])
    var gradients: [Output] = []
    for (part, input) in zip(found, inputs) {
      if let gradient = dense(part) { gradients.append(gradient) } else { gradients.append(try zeros(like: input)) }
    }
    let rows = graph.storage
    storage = rows
    upstream = starts.map(\.id)
    self.gradients = gradients.map { rows.resolve($0.id) }
    saved = Self.saved(for: self.gradients, of: function, in: rows, graph.library)
  }

  private static func rule(
    _ name: FunctionName, of function: GraphFunction, _ library: FunctionLibrary
  ) throws(Diagnostic) -> GraphFunction {
    guard let rule = library[name] else { throw Diagnostic("there is no function \(name) in the graph") }
    let (arguments, results) = (function.arguments.count, function.results.count)
    guard rule.arguments.count == arguments + 2 * results, rule.results.count == arguments else {
      throw Diagnostic(
        "the gradient \(name) of \(function.name) has a wrong number of arguments or results",
        required: "\(arguments) arguments, \(results) results and their upstream gradients, to as many gradients as "
          + "arguments",
        found: "\(rule.arguments.count) arguments and \(rule.results.count) results")
    }
    return rule
  }

  /// What a walk from the gradients meets first of what might come out differently a second time.
  private static func saved(
    for gradients: [ValueID], of function: GraphFunction, in storage: GraphStorage, _ library: FunctionLibrary
  ) -> [ValueID] {
    var isForward = [Bool](repeating: false, count: storage.nodeCount)
    for node in storage.topologicalOrder(results: function.results, targets: function.targets) {
      isForward[Int(node.index)] = true
    }
    var isSeen = [Bool](repeating: false, count: storage.valueCount)
    var saved: [ValueID] = []
    var stack = gradients
    while let value = stack.popLast() {
      guard !isSeen[Int(value.index)] else { continue }
      isSeen[Int(value.index)] = true
      let node = storage.producer(of: value)
      // A variable itself is not a value.
      let isVariable = if case .resource = storage.type(of: value) { true } else { false }
      if isForward[Int(node.index)], !isVariable, !storage.isRepeatable(node, library) {
        saved.append(value)
      } else {
        stack += storage.operands(of: node)
      }
    }
    return saved.sorted()
  }

  // MARK: Functions

  /// The sub-graph with the saved values of all as further results, those of others as zeros.
  func augmented(
    _ layout: SavedValues, number: Int, _ parts: [DifferentiatedFunction], library: FunctionLibrary
  ) throws(Diagnostic) -> GraphFunction {
    let body = Graph(storage, library: library)
    var result = function
    result.name = "\(function.name)_saving"
    for addition in layout.additions {
      if addition.owner == number {
        result.results.append(addition.value)
      } else {
        let zeros = try parts[addition.owner].substitute(
          for: addition, in: body, arguments: function.arguments.map { Output(body, $0) })
        result.results.append(zeros.id)
      }
    }
    result.body = body.storage
    if let rule { result.gradient = body.add(try widened(rule, layout, library)) }
    var rebuilder = GraphRebuilder(result, library: body.library)
    return try rebuilder.run()
  }

  /// The custom gradient of the augmented sub-graph: the further results do not depend on the arguments.
  private func widened(
    _ rule: GraphFunction, _ layout: SavedValues, _ library: FunctionLibrary
  ) throws(Diagnostic) -> GraphFunction {
    let graph = Graph(GraphStorage(), library: library)
    let signature = function.signature
    let results = signature.results + layout.additions.map(\.type)
    let arguments = graph.addArguments(signature.arguments + results + results)
    let (own, rest) = (arguments.prefix(signature.arguments.count), arguments.dropFirst(signature.arguments.count))
    let count = signature.results.count
    let given = own + rest.prefix(count) + rest.dropFirst(results.count).prefix(count)
    let gradients = graph.inline(rule, Array(given))
    return GraphFunction(
      name: rule.name, body: graph.storage, arguments: arguments.map(\.id), results: gradients.map(\.id))
  }

  /// The gradient; see `FunctionDerivatives.gradients`.
  func gradientFunction(
    _ layout: SavedValues, number: Int, library: FunctionLibrary
  ) throws(Diagnostic) -> GraphFunction {
    let signature = function.signature
    let graph = Graph(GraphStorage(), library: library)
    let count = signature.results.count
    let savedTypes = layout.numbers.map { $0 < count ? signature.results[$0] : layout.additions[$0 - count].type }
    let upstreamTypes = zip(signature.results, hasUpstream).filter(\.1).map(\.0)
    let arguments = graph.addArguments(signature.arguments + savedTypes + upstreamTypes)
    let own = Array(arguments.prefix(signature.arguments.count))
    let results = Array(arguments.dropFirst(own.count).prefix(savedTypes.count))
    let weights = Array(arguments.suffix(upstreamTypes.count))

    var outputs: [Output] = []
    if let rule {
      let results = Array(results.prefix(count))
      var next = weights.makeIterator()
      let upstream = zip(results, hasUpstream).map { result, isGiven in
        (isGiven ? next.next() : nil) ?? zerosLike(result)
      }
      outputs = zip(graph.inline(rule, own + results + upstream), isNeeded).filter(\.1).map(\.0)
    } else {
      var values: [ValueID: Output] = [:]
      for (old, new) in zip(function.arguments + upstream, own + weights) { values[old] = new }
      for (value, place) in layout.places[number] {
        if let i = layout.numbers.firstIndex(of: place) { values[value] = results[i] }
      }
      copy(gradients, into: graph, &values)
      outputs = gradients.compactMap { values[$0] }
    }
    return GraphFunction(
      name: "\(function.name)_grad", body: graph.storage, arguments: arguments.map(\.id), results: outputs.map(\.id))
  }

  /// Zeros in the place of a value of this sub-graph, for a graph that has its arguments but does not compute it.
  private func substitute(
    for addition: SavedValues.Addition, in other: Graph, arguments: [Output]
  ) throws(Diagnostic) -> Output {
    let node = storage.producer(of: addition.value)
    guard case .tensor(let type) = addition.type else {
      throw Diagnostic(
        "the gradient needs a value that a branch cannot give out", found: "\(addition.type)",
        notes: [Diagnostic.Note("it is '\(storage.name(of: addition.value))'", site: storage.site(of: node))])
    }
    let zero = cast(other.constant(0), to: type.elementType)
    if let extents = type.shape.known { return broadcast(zero, to: extents) }
    // Nothing of the copy is computed: its shape is known when the graph is compiled.
    var values: [ValueID: Output] = [:]
    for (old, new) in zip(function.arguments, arguments) { values[old] = new }
    let needed = neededNodes(for: [addition.value], ending: values)
    for node in storage.nodes where needed[Int(node.index)] && storage.changesState(node, graph.library) {
      throw Diagnostic(
        "the gradient of the branch needs a value whose shape follows from what the branch does",
        found: "'\(storage.name(of: addition.value))', \(addition.type), by way of "
          + "\(storage.schema(of: node).name) '\(storage.name(of: node))'",
        hint: "give it a known shape",
        notes: [Diagnostic.Note("computed here", site: storage.site(of: node))])
    }
    copy([addition.value], into: other, &values)
    guard let copied = values[addition.value] else { preconditionFailure("what was copied has a value") }
    return fill(shape(of: copied), with: zero)
  }

  // MARK: Copying

  /// Which nodes the values need over data edges, given those of `known`.
  private func neededNodes(for wanted: [ValueID], ending known: [ValueID: Output]) -> [Bool] {
    var isNeeded = [Bool](repeating: false, count: storage.nodeCount)
    var stack = wanted
    while let value = stack.popLast() {
      let node = Int(storage.producer(of: value).index)
      guard known[value] == nil, !isNeeded[node] else { continue }
      isNeeded[node] = true
      stack += storage.operands(of: NodeID(node))
    }
    return isNeeded
  }

  /// Copies what the values need into another graph, ending at those that it has; what is there only for its effects is
  /// left out.
  private func copy(_ wanted: [ValueID], into other: Graph, _ values: inout [ValueID: Output]) {
    let needed = neededNodes(for: wanted, ending: values)
    var nodes: [NodeID: NodeID] = [:]
    for node in storage.topologicalOrder(results: wanted, targets: []) where needed[Int(node.index)] {
      let operands = storage.operands(of: node).map { operand in
        guard let value = values[operand] else { preconditionFailure("operands are copied before their users") }
        return value
      }
      let new = other.insert(
        storage.operation(of: node), operands, name: storage.name(of: node),
        controls: storage.controls(of: node).compactMap { nodes[$0] }, site: storage.site(of: node),
        scope: storage.scope(of: node))
      nodes[node] = new.node
      for (old, output) in zip(storage.results(of: node), new.outputs) where values[old] == nil {
        values[old] = output
      }
    }
  }
}

extension Graph {
  fileprivate func addArguments(_ types: [ValueType]) -> [Output] {
    types.enumerated().map { i, type in
      addOne(Argument(index: i, type: type), name: "argument", site: .unknown)
    }
  }
}

extension GraphStorage {
  /// Whether a node gives the same results each time it is computed from the same operands, without an effect.
  fileprivate func isRepeatable(_ node: NodeID, _ library: FunctionLibrary) -> Bool {
    let functions = operation(of: node).functions
    if functions.isEmpty { return traits(of: node).contains(.pure) }
    return functions.allSatisfy { name in
      guard let function = library[name] else { return false }
      return function.body.topologicalOrder(results: function.results, targets: function.targets)
        .allSatisfy { function.body.isRepeatable($0, library) }
    }
  }

  /// Whether a node has an effect, itself or in a sub-graph.
  fileprivate func changesState(_ node: NodeID, _ library: FunctionLibrary) -> Bool {
    let functions = operation(of: node).functions
    if functions.isEmpty { return hasEffect(node) }
    return functions.contains { name in
      guard let function = library[name] else { return true }
      return function.body.topologicalOrder(results: function.results, targets: function.targets)
        .contains { function.body.changesState($0, library) }
    }
  }
}
