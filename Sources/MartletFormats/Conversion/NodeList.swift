import MartletDiagnostics

/// The nodes of a graph or of a function's body with their inputs looked up, in an order in which they can be added.
struct NodeList {
  /// Where a data input comes from.
  struct Source {
    /// The node, or, for an argument of the function, its number from -1 downwards.
    var node: Int32
    /// In a graph the number of the result, in a function a place in ``ports``.
    var port: Int32

    /// The number of the argument; nil if the source is a node.
    var argument: Int? { node < 0 ? Int(-1 - node) : nil }
  }

  /// A result of a node as functions name it: the k-th value of an output.
  struct Port: Hashable {
    var output: String
    var number: Int
  }

  let nodes: [NodeRecord]
  /// The function; nil for the graph itself.
  let function: String?
  private(set) var ports: [Port] = []
  private var portIndex: [Port: Int32] = [:]
  private var index: [String: Int32] = [:]
  /// The inputs of node i stand at `starts[i] ..< starts[i + 1]`.
  private var starts: [Int] = [0]
  private var sources: [Source] = []
  private var controlStarts: [Int] = [0]
  private var controlSources: [Int32] = []
  /// The nodes' numbers, each after those it needs; otherwise in the order of the file.
  private(set) var order: [Int32] = []

  /// - Parameters:
  ///   - arguments: the names of the function's arguments.
  /// - Throws: A `Diagnostic` where two nodes have one name, an input is not there, or nodes need each other's results.
  init(_ nodes: [NodeRecord], function: String? = nil, arguments: [String] = []) throws {
    self.nodes = nodes
    self.function = function
    index.reserveCapacity(nodes.count + arguments.count)
    for (i, name) in arguments.enumerated() where index.updateValue(Int32(-1 - i), forKey: name) != nil {
      throw Diagnostic("two arguments of function '\(function ?? "")' are named '\(name)'")
    }
    for (i, node) in nodes.enumerated() {
      guard !node.name.isEmpty else {
        throw Diagnostic("node[\(i)]\(place) has no name", operation: node.op)
      }
      guard index.updateValue(Int32(i), forKey: node.name) == nil else {
        throw Diagnostic("two nodes are named '\(node.name)'", operation: label(of: i))
      }
    }
    starts.reserveCapacity(nodes.count + 1)
    controlStarts.reserveCapacity(nodes.count + 1)
    for i in nodes.indices { try lookUpInputs(of: i) }
    try sort()
  }

  var inputCount: Int { sources.count }

  func inputs(of node: Int) -> ArraySlice<Source> { sources[starts[node]..<starts[node + 1]] }
  func controls(of node: Int) -> ArraySlice<Int32> { controlSources[controlStarts[node]..<controlStarts[node + 1]] }

  /// How messages name a node.
  func label(of node: Int) -> String { "\(nodes[node].op) '\(nodes[node].name)'\(place)" }

  private var place: String { function.map { " in function '\($0)'" } ?? "" }

  // MARK: Inputs

  private mutating func lookUpInputs(of node: Int) throws {
    var hasControl = false
    for (position, input) in nodes[node].inputs.enumerated() {
      if input.utf8.first == UInt8(ascii: "^") {
        hasControl = true
        let name = String(input.dropFirst())
        guard let source = index[name] else { throw missing(name, input, position, node) }
        // An argument is there from the start.
        if source >= 0 { controlSources.append(source) }
      } else {
        guard !hasControl else {
          throw Diagnostic(
            "input \(position) '\(input)' is a value behind a control input", operation: label(of: node))
        }
        sources.append(try source(of: input, position, node))
      }
    }
    starts.append(sources.count)
    controlStarts.append(controlSources.count)
  }

  private mutating func source(of input: String, _ position: Int, _ node: Int) throws -> Source {
    // The common form, without the cost of a message that is not needed.
    if let found = index[input], function == nil || found < 0 { return Source(node: found, port: 0) }
    let label = label(of: node)
    guard let source = try source(named: input, path: "input \(position) '\(input)'", label: label) else {
      throw missing(String(input.prefix { $0 != ":" }), input, position, node)
    }
    return source
  }

  private func missing(_ name: String, _ input: String, _ position: Int, _ node: Int) -> Diagnostic {
    Diagnostic("input \(position) '\(input)': there is no node '\(name)'", operation: label(of: node))
  }

  /// The source that a value's name means: `node`, `node:k` in a graph; `argument`, `node:output:k` in a function. Nil if
  /// there is no such node.
  mutating func source(named text: String, path: String, label: String) throws -> Source? {
    if let node = index[text] {
      guard function != nil, node >= 0 else { return Source(node: node, port: 0) }
      throw Diagnostic(
        "\(path) names no output of the node", operation: label, required: "node:output:number", found: text)
    }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count > 1, let node = index[String(parts[0])] else { return nil }
    func failure() -> Diagnostic {
      let form = function == nil ? "node:number" : node < 0 ? "argument:0" : "node:output:number"
      return Diagnostic("\(path) is not written as a value", operation: label, required: form, found: text)
    }
    if function == nil || node < 0 {
      guard parts.count == 2, let number = Int32(parts[1]), number >= 0, node >= 0 || number == 0 else {
        throw failure()
      }
      return Source(node: node, port: number)
    }
    guard parts.count <= 3, let number = parts.count == 3 ? Int32(parts[2]) : 0, number >= 0 else { throw failure() }
    let port = Port(output: String(parts[1]), number: Int(number))
    if let known = portIndex[port] { return Source(node: node, port: known) }
    let new = Int32(ports.count)
    portIndex[port] = new
    ports.append(port)
    return Source(node: node, port: new)
  }

  /// The node of a name.
  func node(named name: String) -> Int? {
    guard let found = index[name], found >= 0 else { return nil }
    return Int(found)
  }

  // MARK: Order

  /// A depth-first walk with a stack of its own, begun at each node in the order of the file.
  private mutating func sort() throws {
    order.reserveCapacity(nodes.count)
    enum Mark: UInt8 { case new, open, done }
    var marks = [Mark](repeating: .new, count: nodes.count)
    // The nodes on the way, each with the number of its inputs that were followed.
    var path: [(node: Int32, next: Int)] = []
    for first in nodes.indices where marks[first] == .new {
      path.append((Int32(first), 0))
      marks[first] = .open
      while let (node, next) = path.last {
        guard let source = neighbour(of: Int(node), next) else {
          marks[Int(node)] = .done
          order.append(node)
          path.removeLast()
          continue
        }
        path[path.count - 1].next += 1
        guard source >= 0 else { continue }
        switch marks[Int(source)] {
        case .done: break
        case .new:
          marks[Int(source)] = .open
          path.append((source, 0))
        case .open:
          let start = path.lastIndex { $0.node == source } ?? 0
          throw circle(path[start...].map { Int($0.node) })
        }
      }
    }
  }

  /// The node behind a data or control input; nil behind the last.
  private func neighbour(of node: Int, _ position: Int) -> Int32? {
    let data = starts[node] + position
    if data < starts[node + 1] { return sources[data].node }
    let control = controlStarts[node] + data - starts[node + 1]
    return control < controlStarts[node + 1] ? controlSources[control] : nil
  }

  private func circle(_ nodes: [Int]) -> Diagnostic {
    let labels = nodes.prefix(8).map { label(of: $0) }.joined(separator: ", ")
    let names = nodes.count > 8 ? "\(labels), …" : labels
    // The node that closes each loop of TensorFlow's first form of control flow.
    if nodes.contains(where: { self.nodes[$0].op.hasSuffix("NextIteration") }) {
      return Diagnostic(
        "the loop through \(names) is written with TensorFlow's control flow version 1, which is not supported",
        hint: "write the graph with tf.compat.v1.enable_control_flow_v2(), which makes it a While")
    }
    return Diagnostic("nodes need each other's results: \(names)")
  }
}
