import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors

extension Graph {
  /// A graph for inference: what `outputs` need, with constants in the place of variables.
  ///
  /// A constant has the name of its variable. Variables without a value stay as they are.
  ///
  /// - Parameters:
  ///   - values: The variables' values by the variables' names.
  /// - Throws: A `Diagnostic` where a value does not fit its variable, or the outputs depend on an assignment to it.
  public func frozen(values: [String: Tensor], outputs: [Output]) throws -> Graph {
    try DiagnosticList(diagnostics).throwIfAny()
    for output in outputs where output.graph !== self {
      throw Diagnostic("the output '\(output.name)' belongs to another graph")
    }
    let main = GraphFunction(name: "main", body: storage, arguments: [], results: outputs.map(\.id))
    var freezing = Freezing(values: values, source: library)
    let result = try freezing.freeze(main, argumentTypes: [])
    // Once more, without what only the variables needed.
    var rebuilder = GraphRebuilder(result, library: freezing.library)
    return Graph(try rebuilder.run().body, library: freezing.library)
  }
}

private struct Freezing {
  private struct Key: Hashable {
    var name: FunctionName
    /// What the arguments become that were variables.
    var types: [ValueType]
  }

  let values: [String: Tensor]
  let source: FunctionLibrary
  private(set) var library = FunctionLibrary()
  private var frozen: [Key: FunctionName] = [:]

  init(values: [String: Tensor], source: FunctionLibrary) { (self.values, self.source) = (values, source) }

  /// The function with constants, or arguments that are their values, in the place of variables.
  mutating func freeze(_ function: GraphFunction, argumentTypes: [ValueType]) throws(Diagnostic) -> GraphFunction {
    var rebuilder = GraphRebuilder(function, library: library)
    return try rebuilder.run(argumentTypes: argumentTypes) { rebuilder, node, operands throws(Diagnostic) in
      let body = rebuilder.source.body
      let label = "\(body.schema(of: node).name) '\(body.name(of: node))'"
      func insert(_ operation: any Operation) throws(Diagnostic) -> [Output] {
        let outputs = rebuilder.graph.insert(
          operation, operands, name: body.name(of: node), controls: rebuilder.controls(of: node),
          site: body.site(of: node), scope: body.scope(of: node)
        ).outputs
        if let mistake = rebuilder.graph.diagnostics.last { throw mistake }
        return outputs
      }
      switch body.stateRole(of: node) {
      case .variable(let name):
        guard let value = values[name] else { return nil }
        let type = body.type(of: body.results(of: node)[0]).content
        guard let type, type.elementType == value.elementType, type.shape.isCompatible(with: Shape(value.shape)) else {
          throw Diagnostic(
            "the value does not fit the variable '\(name)'", operation: label,
            required: type.map { "\($0)" }, found: "\(value.type)", site: body.site(of: node))
        }
        return try insert(Const(value))
      case .read:
        guard case .tensor = operands[0].type else { return nil }
        return [operands[0]]
      case .assign, .accumulate, .update:
        guard case .tensor = operands[0].type else { return nil }
        throw Diagnostic(
          "the outputs depend on this assignment, so that its variable cannot become a constant", operation: label,
          site: body.site(of: node))
      case .none, .control:
        let operation = body.operation(of: node)
        guard !operation.functions.isEmpty else { return nil }
        let handed = operands[operation.functionArguments(operandCount: operands.count)].map(\.type)
        var names: [FunctionName: FunctionName] = [:]
        for name in operation.functions { names[name] = try freeze(name, handed) }
        rebuilder.graph.setLibrary(library)
        return try insert(try operation.renamingFunctions(names))
      }
    }
  }

  private mutating func freeze(_ name: FunctionName, _ operands: [ValueType]) throws(Diagnostic) -> FunctionName {
    guard let function = source[name], function.arguments.count == operands.count else {
      throw Diagnostic("the sub-graph \(name) cannot be called as it is")
    }
    let types = zip(function.arguments, operands).map { argument, operand in
      let type = function.body.type(of: argument)
      if case .resource = type, case .tensor = operand { return operand }
      return type
    }
    let key = Key(name: name, types: types)
    if let known = frozen[key] { return known }
    let new = library.add(try freeze(function, argumentTypes: types))
    frozen[key] = new
    return new
  }
}
