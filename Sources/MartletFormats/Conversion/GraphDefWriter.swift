import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors

/// Turns a graph into a GraphDef that TensorFlow can load.
struct GraphDefWriter {
  /// The version of the format that is written: that of TensorFlow 2.12. What changed since does not concern what is
  /// written here.
  static let producer: Int32 = 1395

  private let storage: GraphStorage
  private let library: FunctionLibrary
  private let nodes: [NodeID]
  /// Whether functions that no node calls are left out.
  private let isPruned: Bool

  /// - Parameters:
  ///   - outputs: The values whose nodes, and those they need, are written; nil for all nodes.
  /// - Throws: The mistakes that were made while the graph was built; a `Diagnostic` where an operation cannot be written.
  init(_ graph: Graph, outputs: [Output]?) throws {
    try DiagnosticList(graph.diagnostics).throwIfAny()
    for output in outputs ?? [] where output.graph !== graph {
      throw Diagnostic("the output '\(output.name)' belongs to another graph")
    }
    let source = graph.storage
    let results = outputs?.map(\.id) ?? []
    let main = GraphFunction(
      name: "main", body: source, arguments: [], results: results, targets: outputs == nil ? Array(source.nodes) : [])
    try self.init(main, library: graph.liveLibrary, isPruned: outputs != nil)
  }

  /// - Parameters:
  ///   - main: Its results, its targets and what they need are written. Arguments become placeholders.
  init(_ main: GraphFunction, library source: FunctionLibrary, isPruned: Bool) throws {
    self.isPruned = isPruned
    var functions = FunctionLibrary()
    for function in source.functions { functions.replace(try Self.exported(function, source)) }
    library = functions
    let exported = try Self.exported(main, source)
    storage = exported.body
    nodes = storage.topologicalOrder(results: exported.results, targets: exported.targets)
  }

  /// The function with other operations in the place of those that TensorFlow does not have.
  private static func exported(_ function: GraphFunction, _ library: FunctionLibrary) throws -> GraphFunction {
    var isExported: [OperationID: Bool] = [:]
    let body = function.body
    func operation(of node: NodeID) -> (any ExportedOperation)? {
      let id = body.operationID(of: node)
      if isExported[id] == false { return nil }
      let operation = body.operation(of: node) as? any ExportedOperation
      isExported[id] = operation != nil
      return operation
    }
    guard body.nodes.contains(where: { operation(of: $0) != nil }) else { return function }
    var rebuilder = GraphRebuilder(function, library: library)
    return try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
      guard let operation = operation(of: node) else { return nil }
      let graph = rebuilder.graph
      return try graph.withSite(body.site(of: node)) { () throws(Diagnostic) in
        let results = try graph.withNameScope("\(body.name(of: node))/expanded") { () throws(Diagnostic) in
          try operation.exported(Expansion(graph: graph, operands: operands))
        }
        guard let results, results.count == 1 else { return results }
        // Others know the result by the node's name.
        return [identity(results[0], name: body.name(of: node))]
      }
    }
  }

  func record() throws -> GraphDefRecord {
    var record = GraphDefRecord(versions: GraphDefRecord.Versions(producer: Self.producer))
    var body = BodyWriter(storage, nodes: nodes)
    record.nodes.reserveCapacity(nodes.count)
    for node in nodes { record.nodes.append(try body.record(of: node)) }
    var functions: [FunctionRecord] = []
    for function in library.functions { functions.append(try self.record(of: function)) }
    if isPruned { functions = Self.called(by: record.nodes, functions) }
    record.library = functions
    return record
  }

  /// The functions that nodes call, and those that these call, in their order.
  private static func called(by nodes: [NodeRecord], _ functions: [FunctionRecord]) -> [FunctionRecord] {
    var index: [String: Int] = [:]
    for (i, function) in functions.enumerated() { index[function.signature.name] = i }
    var isCalled = [Bool](repeating: false, count: functions.count)
    func names(_ attributes: [NamedAttribute]) -> [String] { attributes.flatMap(\.value.functionNames) }
    var open = nodes.flatMap { names($0.attributes) }
    while let name = open.popLast() {
      guard let i = index[name], !isCalled[i] else { continue }
      isCalled[i] = true
      open += functions[i].nodes.flatMap { names($0.attributes) } + names(functions[i].attributes)
    }
    return functions.indices.filter { isCalled[$0] }.map { functions[$0] }
  }

  private func record(of function: GraphFunction) throws -> FunctionRecord {
    if let bytes = function.foreignBytes { return try FunctionRecord(encoded: bytes) }
    let body = function.body
    let isArgument = Set(function.arguments.map { body.producer(of: $0) })
    let nodes = body.topologicalOrder(results: function.results, targets: function.targets)
      .filter { !isArgument.contains($0) }
    var writer = BodyWriter(function, nodes: nodes)
    var record = FunctionRecord(signature: SignatureRecord(name: function.name))
    for (i, argument) in function.arguments.enumerated() {
      let type = body.type(of: argument)
      let name = writer.name(of: body.producer(of: argument))
      record.signature.inputs.append(.init(name: name, type: try Self.code(of: type, name, function)))
      guard case .tensor(let tensor) = type, tensor.shape.rank != nil else { continue }
      let shapes = AttributeRecord.list(ListRecord(shapes: [ShapeRecord(tensor.shape)]))
      record.argumentAttributes.append(
        .init(position: UInt32(i), attributes: [NamedAttribute("_output_shapes", shapes)]))
    }
    for node in nodes { record.nodes.append(try writer.record(of: node)) }
    let names = Set(record.signature.inputs.map(\.name))
    for (i, result) in function.results.enumerated() {
      let value = body.resolve(result)
      var name = "output_\(i)"
      while names.contains(name) { name += "_" }
      record.signature.outputs.append(.init(name: name, type: try Self.code(of: body.type(of: value), name, function)))
      record.returns.append(.init(name, try writer.reference(to: value)))
    }
    for target in function.targets {
      let name = writer.name(of: body.resolve(target))
      record.signature.controlOutputs.append(name)
      record.controlReturns.append(.init(name, name))
    }
    record.signature.isStateful = !function.targets.isEmpty
    if let gradient = function.gradient {
      record.attributes.append(
        NamedAttribute(gradientAttributeName, .function(FunctionReference(name: gradient.name))))
    }
    return record
  }

  private static func code(of type: ValueType, _ name: String, _ function: GraphFunction) throws -> Int32 {
    if let code = type.tensorFlowCode { return code }
    throw Diagnostic("the element type of '\(name)' in function '\(function.name)' is not known")
  }
}
