import MartletDiagnostics
import MartletGraph
import MartletRewriting

/// Infers every type again from the exact types of the feeds, so that every dimension is known. Each sub-graph is
/// specialised for the types it is called with; callers with the same types share one. Where it draws random numbers that
/// differ from call to call, it is specialised for each call, and the streams are fixed; see `RandomStreamOperation`. What
/// could have been fed, and was not, is replaced by its default, whose shape may say more.
public struct InferTypes: Pass {
  public let name = "InferTypes"
  public init() {}

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    var specializer = Specializer(source: program.library)
    var result = program
    result.main = try specializer.specialize(program.main, argumentTypes: nil, call: nil)
    result.library = specializer.library
    return result
  }
}

private struct Specializer {
  struct Key: Hashable {
    var name: FunctionName
    var types: [ValueType]
    /// The calling nodes, for a sub-graph that draws other numbers in each call.
    var call: RandomStreamKey?
  }

  let source: FunctionLibrary
  var library = FunctionLibrary()
  var names: [Key: FunctionName] = [:]
  var isDrawing: [FunctionName: Bool] = [:]

  init(source: FunctionLibrary) { self.source = source }

  mutating func specialize(
    _ function: GraphFunction, argumentTypes: [ValueType]?, call: RandomStreamKey?
  ) throws(Diagnostic) -> GraphFunction {
    var rebuilder = GraphRebuilder(function, library: source)
    return try rebuilder.run(argumentTypes: argumentTypes) { rebuilder, node, operands throws(Diagnostic) in
      let body = rebuilder.source.body
      let operation = body.operation(of: node)
      if body.traits(of: node).contains(.defaulting), body.controls(of: node).isEmpty { return operands }
      let name = body.name(of: node)
      guard !operation.functions.isEmpty else {
        guard let call, let special = Self.drawing(operation, body.traits(of: node))?.called(from: call, name: name)
        else { return nil }
        return try rebuilder.insert(special, operands, for: node)
      }
      let own = RandomStreamKey(name: name)
      let range = operation.functionArguments(operandCount: operands.count)
      let types = operands[range].map(\.type)
      var renamed: [FunctionName: FunctionName] = [:]
      for (i, callee) in operation.functions.enumerated() where renamed[callee] == nil {
        let place = (call?.joined(own) ?? own).joined(RandomStreamKey(bits: UInt64(i)))
        renamed[callee] = try specialize(callee, types, call: drawsInEachCall(callee) ? place : nil)
      }
      rebuilder.graph.setLibrary(library)
      return try rebuilder.insert(try operation.renamingFunctions(renamed), operands, for: node)
    }
  }

  /// The operation, if it draws other numbers in each call of its sub-graph.
  private static func drawing(_ operation: any Operation, _ traits: Schema.Traits) -> (any RandomStreamOperation)? {
    guard traits.contains(.random), let random = operation as? any RandomStreamOperation else { return nil }
    return random.hasStreamForEachCall ? random : nil
  }

  private mutating func drawsInEachCall(_ name: FunctionName) -> Bool {
    if let known = isDrawing[name] { return known }
    isDrawing[name] = false
    guard let body = source[name]?.body else { return false }
    var result = false
    for node in body.nodes where !result {
      let operation = body.operation(of: node)
      result = Self.drawing(operation, body.traits(of: node)) != nil
      for callee in operation.functions where !result { result = drawsInEachCall(callee) }
    }
    isDrawing[name] = result
    return result
  }

  private mutating func specialize(
    _ name: FunctionName, _ types: [ValueType], call: RandomStreamKey?
  ) throws(Diagnostic) -> FunctionName {
    let key = Key(name: name, types: types, call: call)
    if let known = names[key] { return known }
    guard let function = source[name] else {
      throw Diagnostic("the sub-graph \(name) is not in the graph's library")
    }
    guard function.arguments.count == types.count else {
      throw Diagnostic(
        "the sub-graph \(name) is given a wrong number of values", required: "\(function.arguments.count)",
        found: "\(types.count)")
    }
    let special = try specialize(function, argumentTypes: types, call: call)
    let new = library.add(special)
    names[key] = new
    return new
  }
}

extension GraphRebuilder {
  /// Adds a node in the place of one of the source, with another operation.
  fileprivate func insert(
    _ operation: any Operation, _ operands: [Output], for node: NodeID
  ) throws(Diagnostic) -> [Output] {
    let body = source.body
    let new = graph.insert(
      operation, operands, name: body.name(of: node), controls: controls(of: node), site: body.site(of: node),
      scope: body.scope(of: node))
    if let mistake = graph.diagnostics.last { throw mistake }
    return new.outputs
  }
}
