import MartletDiagnostics
import MartletGraph
import MartletTensors

/// Cuts a graph down to what a run needs: the nodes that its fetches and targets depend on, over data and control edges,
/// without what is fed.
struct ProgramExtractor {
  private let storage: GraphStorage
  private let library: FunctionLibrary
  private let fetches: [ValueID]
  private let targets: [NodeID]
  private let feeds: [ValueID]
  private var isFed: Set<ValueID>

  /// - Parameters: as the user gave them; values that were forwarded stand for their successors.
  init(_ graph: Graph, fetches: [ValueID], targets: [NodeID], feeds: [ValueID]) {
    let storage = graph.storage
    self.storage = storage
    library = graph.library
    self.fetches = fetches.map { storage.resolve($0) }
    self.targets = targets.map { storage.resolve($0) }
    self.feeds = feeds.map { storage.resolve($0) }
    isFed = Set(self.feeds)
  }

  /// The program for feeds of the given types.
  ///
  /// - Throws: a list of all mistakes: feeds that do not fit, placeholders that are not fed.
  func program(feedTypes: [TensorType]) throws -> Program {
    try checkFeeds(feedTypes)
    let needed = neededNodes()
    try checkPlaceholders(needed)
    try checkFetches()
    try checkOperations(needed)
    let graph = Graph(GraphStorage(), library: library)
    var values = [Output?](repeating: nil, count: storage.valueCount)
    var nodes = [NodeID?](repeating: nil, count: storage.nodeCount)
    for (i, (feed, type)) in zip(feeds, feedTypes).enumerated() {
      let node = storage.producer(of: feed)
      values[Int(feed.index)] =
        graph.add(
          Argument(index: i, type: .tensor(type)), name: storage.name(of: node), site: storage.site(of: node))[0]
    }
    let order = storage.topologicalOrder(results: fetches, targets: targets)
    for node in order where needed[Int(node.index)] {
      let operands = storage.operands(of: node).map { operand in
        guard let value = values[Int(operand.index)] else {
          preconditionFailure("\(storage.name(of: operand)) is used before it is defined")
        }
        return value
      }
      let (new, outputs) = graph.insert(
        storage.operation(of: node), operands, name: storage.name(of: node),
        controls: storage.controls(of: node).compactMap { nodes[Int($0.index)] }, site: storage.site(of: node),
        scope: storage.scope(of: node))
      for (old, output) in zip(storage.results(of: node), outputs) where !isFed.contains(old) {
        values[Int(old.index)] = output
      }
      nodes[Int(node.index)] = new
    }
    try DiagnosticList(graph.diagnostics).throwIfAny()
    let main = GraphFunction(
      name: "main", body: graph.storage, arguments: feeds.compactMap { values[Int($0.index)]?.id },
      results: fetches.compactMap { values[Int($0.index)]?.id },
      targets: targets.compactMap { nodes[Int($0.index)] })
    return Program(main: main, library: library)
  }

  /// Whether the fetches and targets can be computed from the feeds, whatever the feeds' shapes.
  func check() throws {
    try checkPlaceholders(neededNodes())
    try checkFetches()
  }

  private func neededNodes() -> [Bool] {
    var isNeeded = [Bool](repeating: false, count: storage.nodeCount)
    var stack = targets
    for fetch in fetches where !isFed.contains(fetch) { stack.append(storage.producer(of: fetch)) }
    while let node = stack.popLast() {
      guard !isNeeded[Int(node.index)] else { continue }
      isNeeded[Int(node.index)] = true
      for operand in storage.operands(of: node) where !isFed.contains(operand) {
        stack.append(storage.producer(of: operand))
      }
      stack += storage.controls(of: node)
    }
    return isNeeded
  }

  private func checkFeeds(_ types: [TensorType]) throws {
    var mistakes = DiagnosticList()
    var seen: Set<ValueID> = []
    for (feed, type) in zip(feeds, types) {
      if !seen.insert(feed).inserted {
        let node = storage.producer(of: feed)
        mistakes.append(Diagnostic("'\(storage.name(of: feed))' is fed twice", site: storage.site(of: node)))
      }
      let node = storage.producer(of: feed)
      let declared = storage.type(of: feed)
      if let content = declared.tensor, content.elementType == type.elementType,
        content.shape.isCompatible(with: type.shape)
      {
        continue
      }
      if case .foreign = declared { continue }
      mistakes.append(
        Diagnostic(
          "the fed array does not fit", operation: "\(storage.schema(of: node).name) '\(storage.name(of: feed))'",
          required: "\(declared)", found: "\(type)", site: storage.site(of: node)))
    }
    try mistakes.throwIfAny()
  }

  private func checkPlaceholders(_ isNeeded: [Bool]) throws {
    var mistakes = DiagnosticList()
    for node in storage.nodes where isNeeded[Int(node.index)] && storage.traits(of: node).contains(.placeholder) {
      let results = storage.results(of: node)
      if results.allSatisfy({ isFed.contains($0) }) { continue }
      mistakes.append(
        Diagnostic(
          "the run needs a value for this placeholder",
          operation: "\(storage.schema(of: node).name) '\(storage.name(of: node))'",
          required: "\(storage.type(of: results[0]))", found: "no feed", site: storage.site(of: node),
          hint: "give it in feeds:"))
    }
    try mistakes.throwIfAny()
  }

  /// Names each operation that cannot be run once, before what follows from it is found to have no type.
  private func checkOperations(_ isNeeded: [Bool]) throws {
    var mistakes = DiagnosticList()
    var names: Set<String> = []
    var pending: [FunctionName] = []
    var seen: Set<FunctionName> = []
    func check(_ node: NodeID, of body: GraphStorage) {
      let operation = body.operation(of: node)
      for function in operation.functions where seen.insert(function).inserted { pending.append(function) }
      guard let foreign = operation as? ForeignOperation, names.insert(foreign.name).inserted else { return }
      var refusal = foreign.refusal
      refusal.operation = "\(foreign.name) '\(body.name(of: node))'"
      refusal.site = body.site(of: node)
      mistakes.append(refusal)
    }
    for node in storage.nodes where isNeeded[Int(node.index)] { check(node, of: storage) }
    while let name = pending.popLast() {
      guard let function = library[name] else { continue }
      for node in function.body.topologicalOrder(results: function.results, targets: function.targets) {
        check(node, of: function.body)
      }
    }
    try mistakes.throwIfAny()
  }

  private func checkFetches() throws {
    var mistakes = DiagnosticList()
    for fetch in fetches {
      guard case .resource = storage.type(of: fetch) else { continue }
      let node = storage.producer(of: fetch)
      mistakes.append(
        Diagnostic(
          "a variable itself cannot be fetched",
          operation: "\(storage.schema(of: node).name) '\(storage.name(of: node))'",
          site: storage.site(of: node), hint: "fetch its value, or ask session.value(of:)"))
    }
    try mistakes.throwIfAny()
  }
}
