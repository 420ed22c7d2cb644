import Foundation
import MartletDiagnostics
import MartletTensors

/// A computation that is defined once and then run many times.
///
/// Operations are appended; types and shapes are inferred as each is added. A mistake is recorded, its result silences
/// what follows from it, and compiling the graph throws one error that holds all of them.
///
/// Many threads may read a graph; two threads that add to it at the same time are a mistake, which is recorded too.
public final class Graph: @unchecked Sendable {
  private var state: State
  private let lock = NSRecursiveLock()

  struct State {
    var storage = GraphStorage()
    var library = FunctionLibrary()
    var diagnostics: [Diagnostic] = []
    var scopes: [NodeScope] = [NodeScope(name: "", device: "")]
    var scopeNames: [String: Int] = [:]
    var controls: [[NodeID]] = []
    var defaults: [[AttributeList.Item]] = []
    var fixedSite: BuildSite?
    /// The name that nodes get while a rewrite puts them in a node's place.
    var replacementName: String?
    /// How many streams of random numbers have been given out.
    var randomStreams = 0
    /// The sub-graph that a closure is building; it takes what is added meanwhile.
    var inner: Graph?
    /// For a sub-graph under construction, what it uses of the graph around it.
    var capture: CaptureList?
  }

  public init() { state = State() }

  /// A graph of the given rows and sub-graphs.
  public init(_ storage: GraphStorage, library: FunctionLibrary = FunctionLibrary()) {
    state = State()
    state.storage = storage
    state.library = library
    state.randomStreams = storage.nodeCount
  }

  func read<R>(_ body: (borrowing State) -> R) -> R {
    lock.lock()
    defer { lock.unlock() }
    return body(state)
  }

  @discardableResult
  func write<R>(_ body: (inout State) -> R) -> R {
    lock.lock()
    defer { lock.unlock() }
    return body(&state)
  }

  /// Everything in the graph, as a value.
  public var storage: GraphStorage { read { $0.storage } }
  /// The sub-graphs.
  public var library: FunctionLibrary { read { $0.library } }
  /// The mistakes so far.
  public var diagnostics: [Diagnostic] { read { $0.diagnostics } }

  public func record(_ diagnostic: Diagnostic) { write { $0.diagnostics.append(diagnostic) } }

  // MARK: Adding

  /// Adds a node and returns its results.
  ///
  /// - Parameters:
  ///   - name: the wanted name; the operation's by default. Scopes go before it, and a number behind it if it is taken.
  ///   - controls: nodes that must have run before, beside those of `withControlDependencies`.
  ///   - site: where it is built, if not at the caller.
  @discardableResult
  public func add(
    _ operation: any Operation, _ operands: [Output] = [], name: String? = nil, controls: [NodeID] = [],
    site: BuildSite? = nil
  ) -> [Output] {
    append(operation, operands, name: name, controls: controls, site: site ?? BuildSite.capture(skipping: 1))
  }

  /// Adds a node that has one result.
  public func addOne(
    _ operation: any Operation, _ operands: [Output] = [], name: String? = nil, controls: [NodeID] = [],
    site: BuildSite? = nil
  ) -> Output {
    append(operation, operands, name: name, controls: controls, site: site ?? BuildSite.capture(skipping: 1))[0]
  }

  private func append(
    _ operation: any Operation, _ operands: [Output], name: String?, controls: [NodeID], site: BuildSite
  ) -> [Output] {
    let target = innermost
    let isCapturing = target.read { $0.capture != nil }
    let near = isCapturing ? operands.map { target.capture($0) } : operands
    return target.write { state in
      state.add(operation, near, graph: target, name: name, controls: controls, site: site)
    }
  }

  /// Puts `new` in the place of `old` for all who use or fetch it.
  public func forward(_ old: Output, to new: Output) { write { $0.storage.forward(old.id, to: new.id) } }

  /// A number for the stream of an operation's random numbers, given out once in this graph and its sub-graphs, in the
  /// order of the calls.
  public func nextRandomStream() -> Int {
    var graph = innermost
    while let outer = graph.read({ $0.capture?.outer }) { graph = outer }
    return graph.write { state in
      state.randomStreams += 1
      return state.randomStreams
    }
  }

  /// Adds a sub-graph and returns its name, made unique.
  public func add(_ function: GraphFunction) -> FunctionName { write { $0.library.add(function) } }

  /// Replaces all sub-graphs.
  public func setLibrary(_ library: FunctionLibrary) { write { $0.library = library } }

  /// Adds a value to the list of a name.
  public func addToCollection(_ name: String, _ value: Output) {
    write { $0.storage.collections[name, default: []].append(value.id) }
  }
  /// The list of a name, in the order in which values were added.
  public func collection(_ name: String) -> [Output] {
    read { $0.storage.collections[name] ?? [] }.map { Output(self, $0) }
  }

  // MARK: Asking

  public func type(of value: ValueID) -> ValueType { read { $0.storage.type(of: $0.storage.resolve(value)) } }
  public func known(_ value: ValueID) -> KnownValue? { read { $0.storage.known($0.storage.resolve(value)) } }
  public func operand(_ value: ValueID) -> Operand { read { $0.storage.operand($0.storage.resolve(value)) } }
  public func name(of value: ValueID) -> String { read { $0.storage.name(of: value) } }
  public func producer(of value: ValueID) -> NodeID { read { $0.storage.producer(of: value) } }
  public func operation(of node: NodeID) -> any Operation { read { $0.storage.operation(of: node) } }
  public func schemaName(of node: NodeID) -> String { read { $0.storage.schema(of: node).name } }
  public func traits(of node: NodeID) -> Schema.Traits { read { $0.storage.traits(of: node) } }
  public func operands(of node: NodeID) -> [Output] {
    read { $0.storage.operands(of: node) }.map { Output(self, $0) }
  }
  public func resultNumber(of value: ValueID) -> Int { read { $0.storage.resultNumber(of: value) } }
  public var nodeCount: Int { read { $0.storage.nodeCount } }
  /// How many values have been given a successor by `forward(_:to:)`.
  public var forwardingCount: Int { read { $0.storage.forwards.count } }

  public func node(named name: String) -> NodeID? { read { $0.storage.node(named: name) } }
  func hasNode(named name: String) -> Bool { node(named: name) != nil }

  /// The value named `node` or `node:k`; nil if there is none.
  public func output(named name: String) -> Output? {
    read { state in
      var node = name
      var number = 0
      if state.storage.node(named: node) == nil, let colon = name.lastIndex(of: ":"),
        let k = Int(name[name.index(after: colon)...])
      {
        (node, number) = (String(name[..<colon]), k)
      }
      guard let id = state.storage.node(named: node), number >= 0, number < state.storage.resultCount(of: id) else {
        return nil
      }
      return Output(self, state.storage.results(of: id)[number])
    }
  }

  /// An independent graph with the same content.
  public func copy() -> Graph {
    read { state in
      let copy = Graph(state.storage, library: state.library)
      copy.state.diagnostics = state.diagnostics
      copy.state.randomStreams = max(state.randomStreams, copy.state.randomStreams)
      return copy
    }
  }
}
