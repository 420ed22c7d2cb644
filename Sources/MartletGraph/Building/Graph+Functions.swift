import MartletDiagnostics
import MartletTensors

extension Graph {
  /// A sub-graph that was built from a closure, and the values of this graph that the closure used.
  public struct BuiltFunction: Sendable {
    public var name: FunctionName
    public var signature: FunctionSignature
    /// What must be passed behind the declared arguments.
    public var captures: [Output]
  }

  /// Builds a sub-graph from a closure and adds it to the library.
  ///
  /// While the closure runs, everything that it adds to this graph goes into the sub-graph instead; values of this graph
  /// that it uses become further arguments, behind the declared ones.
  ///
  /// - Parameters:
  ///   - arguments: the types of the declared arguments.
  ///   - captured: values that are passed first of all captures, so that two functions can share one list.
  public func buildFunction(
    _ name: String, arguments: [ValueType], capturing captured: [Output] = [], _ body: ([Output]) throws -> [Output]
  ) rethrows -> BuiltFunction {
    let outermost = innermost
    let inner = Graph()
    inner.write { state in
      state.library = outermost.library
      state.capture = CaptureList(outer: outermost)
    }
    let declared = arguments.enumerated().map { i, type in
      inner.addOne(Argument(index: i, type: type), name: "argument")
    }
    for value in captured { _ = inner.capture(value) }
    outermost.write { $0.inner = inner }
    defer { outermost.write { $0.inner = nil } }
    let outputs = try body(declared)
    let results = outputs.map { $0.graph === inner ? $0.id : inner.capture($0).id }

    let captures = inner.write { state in state.capture?.values ?? [] }
    let storage = inner.storage
    let targets = storage.nodes.filter { storage.hasEffect($0) }
    let function = GraphFunction(
      name: name, body: storage, arguments: declared.map(\.id) + captures.map(\.inner.id), results: results,
      targets: targets)
    outermost.write { state in
      // Functions built inside this one are in the inner library too.
      state.library = inner.library
      state.diagnostics += inner.diagnostics
    }
    return BuiltFunction(
      name: outermost.add(function), signature: function.signature, captures: captures.map(\.outer))
  }

  /// Gives a function that was built from a closure the further captures of another, which was built with the captures
  /// of the first; so both take one list of arguments.
  public func widen(_ built: BuiltFunction, to captures: [Output]) -> BuiltFunction {
    guard captures.count > built.captures.count else { return built }
    var result = built
    result.captures = captures
    updateFunction(built.name) { function in
      let inner = Graph(function.body)
      for value in captures[built.captures.count...] {
        let argument = Argument(index: function.arguments.count, type: value.type)
        function.arguments.append(inner.addOne(argument, name: "captured").id)
      }
      function.body = inner.storage
      result.signature = function.signature
    }
    return result
  }

  /// Changes a sub-graph in the library.
  ///
  /// - Precondition: There is one of this name.
  public func updateFunction(_ name: FunctionName, _ change: (inout GraphFunction) -> Void) {
    let target = innermost
    guard var function = target.library[name] else { preconditionFailure("there is no function \(name)") }
    change(&function)
    target.write { $0.library.replace(function) }
  }

  /// The sub-graph that is being built from a closure right now, or this graph.
  public var innermost: Graph {
    var graph = self
    while let inner = graph.read({ $0.inner }) { graph = inner }
    return graph
  }

  /// The argument of this sub-graph that stands for `value` of a graph around it.
  func capture(_ value: Output) -> Output {
    if value.graph === self { return value }
    guard let outer = read({ $0.capture?.outer }) else { return value }
    let near = value.graph === outer ? value : outer.capture(value)
    if let known = read({ $0.capture?.values.first { $0.outer == near }?.inner }) { return known }
    let outerStorage = outer.storage
    let producer = outerStorage.producer(of: outerStorage.resolve(near.id))
    if outerStorage.traits(of: producer).contains(.constant) {
      // A constant is copied, so that inference inside sees its value.
      return addDirectly(outerStorage.operation(of: producer), name: outerStorage.name(of: producer))
    }
    let argument = addDirectly(Argument(index: read { $0.argumentCount }, type: near.type), name: "captured")
    write { $0.capture?.values.append((near, argument)) }
    return argument
  }

  private func addDirectly(_ operation: any Operation, name: String) -> Output {
    write { $0.add(operation, [], graph: self, name: name, controls: [], site: .unknown)[0] }
  }
}

/// The values of an outer graph that a sub-graph under construction uses.
struct CaptureList {
  let outer: Graph
  var values: [(outer: Output, inner: Output)] = []
}

extension Graph.State {
  var argumentCount: Int { storage.nodes.count { storage.traits(of: $0).contains(.argument) } }
}

extension GraphStorage {
  /// Whether a node must run even if nothing uses its results.
  public func hasEffect(_ node: NodeID) -> Bool {
    let traits = traits(of: node)
    if traits.contains(.pure) || traits.contains(.random) { return false }
    switch stateRole(of: node) {
    case .variable, .read: return false
    default: return !traits.contains(.placeholder)
    }
  }
}
