import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors

/// Turns a GraphDef into a graph: its functions first, each after those that it calls, then its nodes.
final class GraphDefReader {
  /// Functions may call each other this deep.
  static let depthLimit = 64

  let catalog: Catalog
  /// What messages give as the place: the file.
  let site: BuildSite
  private let record: GraphDefRecord
  private(set) var library = FunctionLibrary()
  /// Why functions are only kept, by their names.
  private(set) var foreignFunctions: [String: String] = [:]
  /// How many more values nodes may have. A node of a few bytes can ask for 65,535.
  private var valueBudget = 1 << 16
  private var kinds: [String: OperationKind?] = [:]

  private var functionIndex: [String: Int] = [:]
  private var bodies: [Int: NodeList] = [:]
  /// What the variables hold that a function is given, by the numbers of its arguments.
  private var variableTypes: [Int: [Int: TensorType]] = [:]

  init(_ record: GraphDefRecord, catalog: Catalog, file: String) {
    self.record = record
    self.catalog = catalog
    site = BuildSite(file: file, line: 0)
  }

  /// Adds everything to an empty graph.
  ///
  /// - Throws: A `Diagnostic` that names file, node and field.
  func read(into graph: Graph) throws {
    do {
      for (i, function) in record.library.enumerated()
      where functionIndex.updateValue(i, forKey: function.signature.name) != nil {
        throw Diagnostic("two functions are named '\(function.signature.name)'")
      }
      let main = try NodeList(ReferenceVariables.replaced(record.nodes, self))
      let order = try functionOrder(from: main)
      findVariableTypes(main, function: nil)
      for i in order.reversed() {
        guard let body = bodies[i] else { continue }
        findVariableTypes(body, function: i)
      }
      for i in order { try readFunction(i) }
      graph.setLibrary(library)
      var body = BodyReader(main, reader: self, graph: graph, arguments: [])
      try body.read()
    } catch var diagnostic as Diagnostic {
      if diagnostic.site == .unknown { diagnostic.site = site }
      throw diagnostic
    }
  }

  /// What the catalog has under the name of an operation.
  func kind(named name: String) -> OperationKind? {
    if let known = kinds[name] { return known }
    let kind = catalog.type(named: name).map { OperationKind($0) }
    kinds[name] = .some(kind)
    return kind
  }

  /// Takes note of the values of nodes, of which there are not to be many more than the file's inputs.
  func spend(values count: Int, inputs: Int) throws(Diagnostic) {
    valueBudget += 16 * inputs - count
    if valueBudget < 0 { throw Diagnostic("the nodes have far more results than anything uses") }
  }

  // MARK: Functions

  /// The functions that are called, each behind those that it calls itself; otherwise in the order of the file.
  private func functionOrder(from main: NodeList) throws -> [Int] {
    var order: [Int] = []
    /// 0 for a function that is being visited, else how deep it calls others.
    var depths: [Int: Int] = [:]
    var path: [(function: Int, callees: [Int], next: Int)] = []
    for root in reachable(from: functions(named: main.nodes.flatMap(\.attributes))) where depths[root] == nil {
      path.append((root, callees(of: root), 0))
      depths[root] = 0
      while let (function, callees, next) = path.last {
        guard next < callees.count else {
          let depth = 1 + (callees.compactMap { depths[$0] }.max() ?? 0)
          guard depth <= Self.depthLimit else {
            throw Diagnostic("functions call each other more than \(Self.depthLimit) levels deep")
          }
          depths[function] = depth
          order.append(function)
          path.removeLast()
          continue
        }
        path[path.count - 1].next += 1
        let callee = callees[next]
        guard let depth = depths[callee] else {
          path.append((callee, self.callees(of: callee), 0))
          depths[callee] = 0
          continue
        }
        guard depth > 0 else {
          throw Diagnostic(
            "the function '\(record.library[callee].signature.name)' calls itself",
            hint: "recursion is not supported; use a loop")
        }
      }
    }
    for i in order {
      let function = record.library[i]
      // A function that only operations unknown here could call is not looked into.
      guard unsupported(function.signature) == nil else { continue }
      bodies[i] = try NodeList(
        function.nodes, function: function.signature.name, arguments: function.signature.inputs.map(\.name))
    }
    return order
  }

  /// These functions and those that they need, in the order of the file.
  private func reachable(from roots: [Int]) -> [Int] {
    var isReached = [Bool](repeating: false, count: record.library.count)
    var open = roots
    while let function = open.popLast() {
      guard !isReached[function] else { continue }
      isReached[function] = true
      open += callees(of: function) + functions(named: record.library[function].attributes)
    }
    return isReached.indices.filter { isReached[$0] }
  }

  /// The functions that a function's nodes call, in the order of the file.
  private func callees(of function: Int) -> [Int] {
    functions(named: record.library[function].nodes.flatMap(\.attributes))
  }

  private func functions(named attributes: [NamedAttribute]) -> [Int] {
    var seen: Set<Int> = []
    var result: [Int] = []
    for name in attributes.flatMap(\.value.functionNames) {
      if let i = functionIndex[name], seen.insert(i).inserted { result.append(i) }
    }
    return result.sorted()
  }

  /// Why a graph cannot hold a function of this signature; nil if it can.
  private func unsupported(_ signature: SignatureRecord) -> String? {
    for argument in signature.inputs + signature.outputs {
      let isGeneric = !(argument.typeAttribute + argument.numberAttribute + argument.typeListAttribute).isEmpty
      if isGeneric { return "the type of '\(argument.name)' in function '\(signature.name)' is given by each call" }
      if argument.type == resourceTypeCode, !argument.isReference { continue }
      let type = ElementType(tensorFlowCode: argument.type)
      guard let type, type.isComputable, !argument.isReference else {
        let name = type?.name ?? "of a type with TensorFlow's number \(argument.type)"
        return "'\(argument.name)' in function '\(signature.name)' is \(name)"
      }
    }
    return nil
  }

  /// Learns from the calls in a body what the variables hold that functions are given.
  private func findVariableTypes(_ body: NodeList, function: Int?) {
    for (i, node) in body.nodes.enumerated() {
      let names = node.attributes.flatMap(\.value.functionNames)
      guard !names.isEmpty, let kind = kind(named: node.op) else { continue }
      let inputs = body.inputs(of: i)
      let handed = kind.functionArguments(inputs.count)
      guard handed.upperBound <= inputs.count else { continue }
      for callee in names.compactMap({ functionIndex[$0] }) {
        for (j, source) in inputs.dropFirst(handed.lowerBound).prefix(handed.count).enumerated() {
          let arguments = record.library[callee].signature.inputs
          guard j < arguments.count, arguments[j].type == resourceTypeCode, variableTypes[callee]?[j] == nil else {
            continue
          }
          variableTypes[callee, default: [:]][j] = variableType(source, body, function)
        }
      }
    }
  }

  private func variableType(_ source: NodeList.Source, _ body: NodeList, _ function: Int?) -> TensorType? {
    if let argument = source.argument { return function.flatMap { variableTypes[$0]?[argument] } }
    let node = body.nodes[Int(source.node)]
    guard let output = kind(named: node.op)?.schema.outputs.first, output.type == "resource",
      case .type(let code) = node.attributes["dtype"], let type = ElementType(tensorFlowCode: code)
    else { return nil }
    guard case .shape(let shape) = node.attributes["shape"] else { return TensorType(type, .unknown) }
    return TensorType(type, shape.shape)
  }

  private func readFunction(_ i: Int) throws {
    let record = record.library[i]
    let name = record.signature.name
    if let reason = unsupported(record.signature) { return try keep(record, reason) }
    guard let body = bodies[i] else { return }
    do {
      _ = library.add(try function(record, body, variableTypes[i] ?? [:]))
    } catch let error as BodyReader.Unsupported {
      try keep(record, "\(error.reason) in function '\(name)'")
    }
  }

  private func keep(_ record: FunctionRecord, _ reason: String) throws {
    let name = record.signature.name
    var function = GraphFunction(name: name, body: GraphStorage(), arguments: [], results: [])
    function.foreignBytes = try record.encoded()
    foreignFunctions[name] = reason
    _ = library.add(function)
  }

  private func function(
    _ record: FunctionRecord, _ body: NodeList, _ variableTypes: [Int: TensorType]
  ) throws -> GraphFunction {
    let graph = Graph(GraphStorage(), library: library)
    var arguments: [(node: NodeID, output: Output)] = []
    for (i, argument) in record.signature.inputs.enumerated() {
      let attributes = record.argumentAttributes.first { $0.position == UInt32(i) }?.attributes
      let type: ValueType =
        if let elementType = ElementType(tensorFlowCode: argument.type) {
          .tensor(elementType, attributes?.outputShapes?.first ?? .unknown)
        } else {
          variableTypes[i].map { .resource($0) } ?? .foreign
        }
      let (node, outputs) = graph.insert(
        Argument(index: i, type: type), [], name: argument.name, controls: [], site: site,
        scope: NodeScope(name: "", device: ""))
      arguments.append((node, outputs[0]))
    }
    var list = body
    let sources = try record.signature.outputs.map { output in
      guard let value = record.returns.last(where: { $0.name == output.name })?.value,
        let source = try list.source(named: value, path: "the return '\(output.name)'", label: "function")
      else {
        throw Diagnostic("function '\(record.signature.name)' does not say what it returns as '\(output.name)'")
      }
      return source
    }
    var reader = BodyReader(list, reader: self, graph: graph, arguments: arguments.map(\.output))
    let results = try reader.read(results: sources)
    let storage = graph.storage
    var targets = Set(storage.nodes.filter { storage.hasEffect($0) })
    for binding in record.controlReturns {
      guard let node = reader.node(named: binding.value) else {
        throw Diagnostic(
          "function '\(record.signature.name)' waits for '\(binding.value)', which is not one of its nodes")
      }
      targets.insert(node)
    }
    var function = GraphFunction(
      name: record.signature.name, body: storage, arguments: arguments.map(\.output.id), results: results.map(\.id),
      targets: targets.sorted())
    if case .function(let reference) = record.attributes[gradientAttributeName] {
      function.gradient = FunctionName(reference.name)
    }
    return function
  }
}

/// The attribute under which a function of a GraphDef names the function that is its gradient.
let gradientAttributeName = "_MartletGradient"

extension [NamedAttribute] {
  /// What TensorFlow has inferred of the results' shapes, where the file says it.
  var outputShapes: [Shape]? {
    guard case .list(let list) = self["_output_shapes"] else { return nil }
    return list.shapes.map(\.shape)
  }
}
