import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors

/// Adds the nodes of a graph or of a function's body to a graph.
struct BodyReader {
  /// A function that is well formed, but that a graph cannot hold.
  struct Unsupported: Error {
    var reason: String
  }

  private let list: NodeList
  private let reader: GraphDefReader
  private let graph: Graph
  private let arguments: [Output]
  /// What the catalog has for each node; nil for a node that is only kept.
  private var kinds: [OperationKind?] = []
  /// Why nodes are only kept although the catalog has their operation.
  private var reasons: [Int: String] = [:]
  /// The ports of nodes that are only kept, in the order of their results.
  private var foreignPorts: [Int32: [Int32]] = [:]
  /// Which of its node's results each of these ports is.
  private var foreignNumbers: [ForeignResult: Int] = [:]
  private var foreignTypes: [ForeignResult: ElementType] = [:]
  private var added: [Added]

  private struct ForeignResult: Hashable {
    var node: Int32
    var port: Int32
  }

  /// A node that is in the graph.
  private struct Added {
    var node = NodeID(0)
    var first = ValueID(0)
    var count: Int32 = 0
  }

  init(_ list: NodeList, reader: GraphDefReader, graph: Graph, arguments: [Output]) {
    self.list = list
    self.reader = reader
    self.graph = graph
    self.arguments = arguments
    added = Array(repeating: Added(), count: list.nodes.count)
  }

  /// Adds the nodes and returns the values of `results`.
  @discardableResult
  mutating func read(results: [NodeList.Source] = []) throws -> [Output] {
    kinds.reserveCapacity(list.nodes.count)
    for i in list.nodes.indices { kinds.append(try kind(of: i)) }
    findForeignResults(results)
    for i in list.order {
      do {
        try add(Int(i))
      } catch var diagnostic as Diagnostic {
        diagnostic.operation = list.label(of: Int(i))
        diagnostic.site = reader.site
        throw diagnostic
      }
    }
    return try results.map { try output($0) }
  }

  func node(named name: String) -> NodeID? { list.node(named: name).map { added[$0].node } }

  // MARK: What is known

  private mutating func kind(of i: Int) throws -> OperationKind? {
    let node = list.nodes[i]
    if list.function != nil {
      for attribute in node.attributes {
        guard case .placeholder = attribute.value else { continue }
        throw Unsupported(reason: "attribute '\(attribute.name)' of '\(node.name)' is given by each call")
      }
    }
    guard let kind = reader.kind(named: node.op) else { return nil }
    var reason = kind.mismatch(node)
    for attribute in node.attributes where reason == nil {
      reason = attribute.value.functionNames.compactMap { reader.foreignFunctions[$0] }.first
    }
    reasons[i] = reason
    return reason == nil ? kind : nil
  }

  /// Learns from their users how many results nodes have of which only the name is known, and what they are.
  private mutating func findForeignResults(_ results: [NodeList.Source]) {
    for source in results { note(source, nil) }
    for i in list.nodes.indices {
      let inputs = list.inputs(of: i)
      guard inputs.contains(where: { $0.node >= 0 && kinds[Int($0.node)] == nil }) else { continue }
      let types = kinds[i]?.operandTypes(list.nodes[i], count: inputs.count)
      for (position, source) in inputs.enumerated() { note(source, types?[position]) }
    }
  }

  private mutating func note(_ source: NodeList.Source, _ type: ElementType?) {
    guard source.node >= 0, kinds[Int(source.node)] == nil else { return }
    let result = ForeignResult(node: source.node, port: source.port)
    if foreignNumbers[result] == nil {
      foreignNumbers[result] = foreignPorts[source.node]?.count ?? 0
      foreignPorts[source.node, default: []].append(source.port)
    }
    if let type { foreignTypes[result] = type }
  }

  // MARK: Adding

  private mutating func add(_ i: Int) throws {
    let node = list.nodes[i]
    let kind = kinds[i]
    var operands: [Output] = []
    operands.reserveCapacity(list.inputs(of: i).count)
    let isShown = kind?.isShown ?? false
    let types = isShown ? kind?.operandTypes(node, count: list.inputs(of: i).count) : nil
    for (position, source) in list.inputs(of: i).enumerated() {
      // Martlet has no arrays of text, and needs none to see that an assertion holds.
      if let types, types[position] == .string { continue }
      do throws(Diagnostic) {
        operands.append(try output(source))
      } catch {
        var diagnostic = error
        diagnostic.message = "input \(position): \(error.message)"
        throw diagnostic
      }
    }
    let operation: any Operation
    if let kind {
      if kind.schema.traits.contains(.constant), case .tensor(let record) = node.attributes["value"],
        let element = record.largeSplat, let extents = record.shape.extents
      {
        return try fill(i, element, extents)
      }
      try requireValue(of: node, kind)
      operation = try kind.operation(node)
    } else {
      operation = try foreignOperation(i, inputCount: operands.count)
    }
    let outputs = try insert(i, operation, operands)
    if let kind, !isShown { try checkAttributes(of: node, kind, operands, outputs) }
  }

  private mutating func insert(_ i: Int, _ operation: any Operation, _ operands: [Output]) throws -> [Output] {
    let node = list.nodes[i]
    let (id, outputs) = graph.insert(
      operation, operands, name: node.name, controls: list.controls(of: i).map { added[Int($0)].node },
      site: reader.site, scope: NodeScope(name: "", device: node.device))
    if let mistake = graph.diagnostics.last { throw mistake }
    added[i] = Added(node: id, first: outputs.first?.id ?? ValueID(0), count: Int32(outputs.count))
    try reader.spend(values: outputs.count, inputs: node.inputs.count + 1)
    return outputs
  }

  /// A constant that a few bytes say is large takes its memory when it is run.
  private mutating func fill(_ i: Int, _ element: Tensor, _ extents: [Int]) throws {
    func constant(_ tensor: Tensor, _ suffix: String) -> Output {
      var name = "\(list.nodes[i].name)/\(suffix)"
      while list.node(named: name) != nil { name += "_" }
      let scope = NodeScope(name: "", device: list.nodes[i].device)
      return graph.insert(Const(tensor), [], name: name, controls: [], site: reader.site, scope: scope).outputs[0]
    }
    let dims = constant(Tensor(extents.map { Int64($0) }), "dims")
    let value = constant(element, "value")
    _ = try insert(i, Fill(), [dims, value])
  }

  /// Sources of values have attributes without which they are nothing.
  private func requireValue(of node: NodeRecord, _ kind: OperationKind) throws(Diagnostic) {
    let traits = kind.schema.traits
    let required = traits.contains(.constant) ? "value" : traits.contains(.placeholder) ? "dtype" : nil
    if let required, node.attributes[required] == nil { throw Diagnostic("attribute '\(required)' is missing") }
  }

  private func foreignOperation(_ i: Int, inputCount: Int) throws -> ForeignOperation {
    let node = list.nodes[i]
    var items: [AttributeList.Item] = []
    for attribute in node.attributes {
      items.append(.init(attribute.name, try AttributeValue(keeping: attribute.value)))
    }
    if !node.otherFields.isEmpty {
      items.append(.init(otherFieldsName, .opaque(bytes(of: node.otherFields))))
    }
    let shapes = node.attributes.outputShapes ?? []
    let used = foreignPorts[Int32(i)] ?? []
    var results: [ForeignOperation.Result] = []
    if list.function != nil {
      for port in used {
        let name = list.ports[Int(port)]
        results.append(.init(type: type(i, port, .unknown), name: "\(name.output):\(name.number)"))
      }
    } else {
      let count = max(Int(used.max() ?? 0) + 1, shapes.count)
      guard count <= UInt16.max else { throw Diagnostic("a node cannot have \(count) results") }
      try reader.spend(values: count, inputs: 0)
      for port in 0..<count {
        results.append(.init(type: type(i, Int32(port), port < shapes.count ? shapes[port] : .unknown)))
      }
    }
    var operation = ForeignOperation(
      name: node.op, attributes: AttributeList(items), inputCount: inputCount, results: results, reason: reasons[i])
    operation.isPure = reader.kind(named: node.op)?.schema.traits.contains(.pure) ?? false
    return operation
  }

  private func type(_ node: Int, _ port: Int32, _ shape: Shape) -> ValueType {
    let type = foreignTypes[ForeignResult(node: Int32(node), port: port)]
    guard let type, type.isComputable else { return .foreign }
    return .tensor(type, shape)
  }

  /// The value that a source means.
  private func output(_ source: NodeList.Source) throws(Diagnostic) -> Output {
    if let argument = source.argument { return arguments[argument] }
    let node = Int(source.node)
    let (first, count) = (added[node].first, Int(added[node].count))
    var number = Int(source.port)
    var name = ":\(number)"
    if list.function != nil {
      let port = list.ports[Int(source.port)]
      name = ":\(port.output):\(port.number)"
      number = resultNumber(of: node, source.port, port, count: count) ?? count
    }
    guard number < count else {
      throw Diagnostic("'\(list.nodes[node].name)' has no result '\(name.dropFirst())'")
    }
    return Output(graph, ValueID(Int(first.index) + number))
  }

  private func resultNumber(of node: Int, _ place: Int32, _ port: NodeList.Port, count: Int) -> Int? {
    guard let schema = kinds[node]?.schema else {
      return foreignNumbers[ForeignResult(node: Int32(node), port: place)]
    }
    guard let ranges = schema.ranges(of: schema.outputs, count: count) else { return nil }
    for (output, range) in zip(schema.outputs, ranges) where output.name == port.output {
      return port.number < range.count ? range.lowerBound + port.number : nil
    }
    return nil
  }

  /// Types and numbers that the file gives must be those that follow from the operands.
  private func checkAttributes(
    of node: NodeRecord, _ kind: OperationKind, _ operands: [Output], _ outputs: [Output]
  ) throws(Diagnostic) {
    let derived = kind.schema.derivedAttributes(operands: operands.map(\.type), results: outputs.map(\.type))
    for attribute in derived {
      guard let value = attribute.value, let said = node.attributes[attribute.name], said != value else { continue }
      throw Diagnostic(
        "attribute '\(attribute.name)' does not agree with the operands and results",
        required: value.summary, found: said.summary)
    }
  }
}

/// The name of the item under which a node that is only kept keeps the fields that no record has.
let otherFieldsName = "^fields"

extension AttributeRecord {
  /// The value in a few words, for messages.
  fileprivate var summary: String {
    switch self {
    case .type(let code): ElementType(tensorFlowCode: code)?.name ?? "type \(code)"
    case .int(let value): "\(value)"
    case .list(let list): "[\(list.types.prefix(16).map { AttributeRecord.type($0).summary }.joined(separator: ", "))]"
    default: "a value of kind \(kind)"
    }
  }
}
