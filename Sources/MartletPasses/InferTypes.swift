import MartletDiagnostics
import MartletGraph
import MartletRewriting

/// Infers every type again from the exact types of the feeds, so that every dimension is known. Each sub-graph is
/// specialised for the types it is called with; callers with the same types share one.
public struct InferTypes: Pass {
  public let name = "InferTypes"
  public init() {}

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    var specializer = Specializer(source: program.library)
    var result = program
    result.main = try specializer.specialize(program.main, argumentTypes: nil)
    result.library = specializer.library
    return result
  }
}

private struct Specializer {
  struct Key: Hashable {
    var name: FunctionName
    var types: [ValueType]
  }

  let source: FunctionLibrary
  var library = FunctionLibrary()
  var names: [Key: FunctionName] = [:]

  init(source: FunctionLibrary) { self.source = source }

  mutating func specialize(
    _ function: GraphFunction, argumentTypes: [ValueType]?
  ) throws(Diagnostic) -> GraphFunction {
    var rebuilder = GraphRebuilder(function, library: source)
    return try rebuilder.run(argumentTypes: argumentTypes) { rebuilder, node, operands throws(Diagnostic) in
      let body = rebuilder.source.body
      let operation = body.operation(of: node)
      guard !operation.functions.isEmpty else { return nil }
      let range = operation.functionArguments(operandCount: operands.count)
      let types = operands[range].map(\.type)
      var renamed: [FunctionName: FunctionName] = [:]
      for callee in operation.functions { renamed[callee] = try specialize(callee, types) }
      rebuilder.graph.setLibrary(library)
      let new = rebuilder.graph.insert(
        try operation.renamingFunctions(renamed), operands, name: body.name(of: node),
        controls: rebuilder.controls(of: node),
        site: body.site(of: node), scope: body.scope(of: node))
      if let mistake = rebuilder.graph.diagnostics.last { throw mistake }
      return new.outputs
    }
  }

  private mutating func specialize(_ name: FunctionName, _ types: [ValueType]) throws(Diagnostic) -> FunctionName {
    let key = Key(name: name, types: types)
    if let known = names[key] { return known }
    guard let function = source[name] else {
      throw Diagnostic("the sub-graph \(name) is not in the graph's library")
    }
    guard function.arguments.count == types.count else {
      throw Diagnostic(
        "the sub-graph \(name) is given a wrong number of values", required: "\(function.arguments.count)",
        found: "\(types.count)")
    }
    let special = try specialize(function, argumentTypes: types)
    let new = library.add(special)
    names[key] = new
    return new
  }
}
