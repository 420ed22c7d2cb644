import MartletGraph
import MartletTensors

/// The nodes and edges that are drawn for one function, after folding.
struct FunctionDrawing {
  private let function: GraphFunction
  private let body: GraphStorage
  private let nodes: [NodeID]
  private let prefix: String
  private let options: GraphDOT
  /// For each node the one that is drawn in its place: itself, a variable's handle, or nil for a constant in labels.
  private var drawn: [NodeID: NodeID?] = [:]
  /// The number of scope levels that are kept apart.
  private var depth = Int.max

  init(_ function: GraphFunction, _ nodes: [NodeID], prefix: String, options: GraphDOT) {
    self.function = function
    body = function.body
    self.nodes = nodes
    self.prefix = prefix
    self.options = options
    for node in nodes { drawn[node] = representative(of: node) }
    fold()
  }

  func draw(in cluster: DOTWriter.Cluster, _ edges: inout [DOTWriter.Edge]) {
    var folded: [String: (count: Int, cluster: DOTWriter.Cluster)] = [:]
    var order: [String] = []
    for node in nodes where drawn[node] == .some(node) {
      let path = scopePath(node)
      if path.count > depth {
        let key = path.prefix(depth + 1).joined(separator: "/")
        if folded[key] == nil {
          order.append(key)
          folded[key] = (0, parent(path.prefix(depth), in: cluster))
        }
        folded[key]?.count += 1
      } else {
        parent(path[...], in: cluster).nodes.append(item(node))
      }
    }
    for key in order {
      guard let entry = folded[key] else { continue }
      let last = key.split(separator: "/").last.map(String.init) ?? key
      entry.cluster.nodes.append(
        DOTWriter.Node(
          id: scopeID(key), label: "\(last)\n\(entry.count) operations", style: .scope, tooltip: key))
    }
    drawEdges(&edges)
    drawResults(in: cluster, &edges)
  }

  // MARK: Folding

  private func representative(of node: NodeID) -> NodeID? {
    switch body.stateRole(of: node) {
    case .read:
      let handle = body.producer(of: body.operands(of: node)[0])
      if case .variable = body.stateRole(of: handle) { return handle }
    default: break
    }
    if let value = body.results(of: node).first, let constant = body.constant(value),
      constant.tensor.elementCount <= options.inlineConstantCount, !function.results.contains(value)
    {
      return nil
    }
    return node
  }

  private mutating func fold() {
    func count(_ depth: Int) -> Int {
      var keys: Set<String> = []
      for node in nodes where drawn[node] == .some(node) {
        let path = scopePath(node)
        keys.insert(path.count > depth ? path.prefix(depth + 1).joined(separator: "/") : "\(node.index)")
      }
      return keys.count
    }
    guard count(.max) > options.maximumNodes else { return }
    var level = nodes.map { scopePath($0).count }.max() ?? 0
    while level > 0 {
      level -= 1
      if count(level) <= options.maximumNodes { break }
    }
    depth = level
  }

  private func scopePath(_ node: NodeID) -> [String] {
    Array(body.name(of: node).split(separator: "/").map(String.init).dropLast())
  }

  private func parent(_ path: ArraySlice<String>, in cluster: DOTWriter.Cluster) -> DOTWriter.Cluster {
    path.reduce(cluster) { $0.child($1) }
  }

  private func id(_ node: NodeID) -> String {
    let path = scopePath(node)
    guard path.count > depth else { return "\(prefix)n\(node.index)" }
    return scopeID(path.prefix(depth + 1).joined(separator: "/"))
  }

  private func scopeID(_ key: String) -> String {
    prefix + "s" + key.utf8.map { AttributeText.isPlain($0) ? String(Unicode.Scalar($0)) : "_\($0)_" }.joined()
  }

  // MARK: Nodes

  private func item(_ node: NodeID) -> DOTWriter.Node {
    let schema = body.schema(of: node)
    let last = body.name(of: node).split(separator: "/").last.map(String.init) ?? ""
    var lines: [String] = []
    if let kernel = body.operation(of: node) as? FusedKernel {
      lines += AttributeText.wrapped(kernel.label, width: 34)
      lines.append(last)
    } else {
      lines.append(schema.name)
      if last != schema.name { lines.append(last) }
    }
    let constants = body.operands(of: node).enumerated().compactMap { i, operand in
      drawn[body.producer(of: operand)] == .some(nil)
        ? "\(schema.inputName(i, of: body.operandCount(of: node))) = \(AttributeText.short(body.constant(operand)))"
        : nil
    }
    lines += constants.prefix(4)
    let attributes = body.attributes(of: node).items.map { "\($0.name): \(AttributeText.short($0.value))" }
    return DOTWriter.Node(
      id: id(node), label: lines.joined(separator: "\n"), style: style(node),
      tooltip: ([body.name(of: node)] + attributes).joined(separator: "\n"))
  }

  private func style(_ node: NodeID) -> DOTStyle {
    let traits = body.traits(of: node)
    if traits.contains(.placeholder) || traits.contains(.argument) { return .placeholder }
    if traits.contains(.constant) { return .constant }
    if body.operation(of: node) is FusedKernel { return .kernel }
    if !body.operation(of: node).functions.isEmpty { return .control }
    switch body.stateRole(of: node) {
    case .variable: return .variable
    case .assign, .accumulate: return .effect
    default: break
    }
    if body.hasEffect(node) { return .effect }
    if body.isFullyTyped(node), case .library = try? body.plainLowering(of: node) { return .library }
    return .operation
  }

  // MARK: Edges

  private func drawEdges(_ edges: inout [DOTWriter.Edge]) {
    var labels: [String: [String]] = [:]
    var order: [(key: String, edge: DOTWriter.Edge)] = []
    func add(_ from: String, _ to: String, _ label: String, isControl: Bool) {
      guard from != to else { return }
      let key = "\(from)>\(to)>\(isControl)"
      if labels[key] == nil {
        order.append((key, DOTWriter.Edge(from: from, to: to, label: "", isControl: isControl)))
      }
      labels[key, default: []].append(label)
    }
    for node in nodes where drawn[node] == .some(node) || isRead(node) {
      let target = drawn[node]?.map { $0 } ?? node
      for operand in body.operands(of: node) {
        guard let source = drawn[body.producer(of: operand)]?.map({ $0 }), source != target else { continue }
        add(id(source), id(target), edgeLabel(operand), isControl: false)
      }
      for control in body.controls(of: node) {
        guard let source = drawn[control]?.map({ $0 }) else { continue }
        add(id(source), id(target), "", isControl: true)
      }
    }
    for (key, edge) in order {
      var edge = edge
      let all = labels[key] ?? []
      edge.label = Set(all).count == 1 ? all[0] + (all.count > 1 ? " ×\(all.count)" : "") : "\(all.count) values"
      if edge.isControl { edge.label = "" }
      edges.append(edge)
    }
  }

  private func isRead(_ node: NodeID) -> Bool { body.stateRole(of: node) == .read }

  private func edgeLabel(_ value: ValueID) -> String {
    guard let type = body.type(of: value).tensor else { return "" }
    guard let dimensions = type.shape.dimensions else { return "[*]" }
    let sizes = dimensions.map { $0.known.map(String.init) ?? "?" }
    return sizes.isEmpty ? "scalar" : sizes.joined(separator: "×")
  }

  private func drawResults(in cluster: DOTWriter.Cluster, _ edges: inout [DOTWriter.Edge]) {
    for (number, result) in function.results.enumerated() {
      let value = body.resolve(result)
      guard let source = drawn[body.producer(of: value)]?.map({ $0 }) else { continue }
      let name = "\(prefix)r\(number)"
      cluster.nodes.append(
        DOTWriter.Node(id: name, label: "result \(number)", style: .result, tooltip: body.name(of: value)))
      edges.append(DOTWriter.Edge(from: id(source), to: name, label: edgeLabel(value), isControl: false))
    }
  }
}

extension GraphStorage {
  fileprivate func isFullyTyped(_ node: NodeID) -> Bool {
    (operands(of: node) + results(of: node)).allSatisfy { type(of: $0).shape.isFullyKnown }
  }

  fileprivate func plainLowering(of node: NodeID) throws -> Lowering {
    let results = results(of: node).compactMap { type(of: $0).tensor }
    var context = LoweringContext(
      operands: operands(of: node).map { operand($0) }, results: results, name: name(of: node))
    return try operation(of: node).lowering(&context)
  }
}
