import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletRewriting
import MartletTensors

/// Makes variables values: reading gives the current value, an assignment makes the next one, branches and loops carry
/// them in and out, and the last values are results of the program.
///
/// Effects take place in the order of the nodes, which their control edges agree with. After this pass nodes have no
/// control edges; nodes that must run although nobody uses their results are targets of their function.
public struct PromoteState: Pass {
  public let name = "PromoteState"
  public init() {}

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program { try run(program) }

  /// - Parameter program: main's arguments and results are feeds and fetches alone.
  /// - Throws: a diagnostic that names the node, where a variable is used in a way that cannot be promoted.
  public func run(_ program: Program) throws(Diagnostic) -> Program {
    let analysis = StateAnalysis(library: program.library)
    let usage = try analysis.analyse(program.main, variables: [])
    let promoter = StatePromoter(analysis)
    var result = program
    result.main = try promoter.promote(
      program.main, usage, incoming: usage.read, outgoing: usage.assigned, results: nil)
    result.library = promoter.library
    let (arguments, results) = (program.main.arguments.count, program.main.results.count)
    result.variables = StateAnalysis.unique(usage.read + usage.assigned).map { name in
      VariableBinding(
        name: name, type: analysis.types[name] ?? TensorType(.float32, .unknown),
        argument: usage.read.firstIndex(of: name).map { arguments + $0 },
        result: usage.assigned.firstIndex(of: name).map { results + $0 })
    }
    return result
  }
}

/// Rebuilds functions with their variables as arguments and results.
private final class StatePromoter {
  private struct Key: Hashable {
    var function: StateAnalysis.Key
    var incoming: [String]
    var outgoing: [String]
    var results: [Int]?
  }

  let analysis: StateAnalysis
  private(set) var library = FunctionLibrary()
  private var promoted: [Key: FunctionName] = [:]

  init(_ analysis: StateAnalysis) { self.analysis = analysis }

  private func promote(
    _ key: StateAnalysis.Key, incoming: [String], outgoing: [String], results: [Int]? = nil
  ) throws(Diagnostic) -> FunctionName {
    let full = Key(function: key, incoming: incoming, outgoing: outgoing, results: results)
    if let name = promoted[full] { return name }
    let function = try promote(
      try analysis.function(key.function), try analysis.usage(of: key), incoming: incoming, outgoing: outgoing,
      results: results)
    let name = library.add(function)
    promoted[full] = name
    return name
  }

  /// - Parameters:
  ///   - incoming: the variables whose values are arguments behind the function's own.
  ///   - outgoing: those whose last values are results behind the function's own.
  ///   - results: which of the function's own results to keep; those that are no variables by default.
  func promote(
    _ function: GraphFunction, _ usage: StateAnalysis.Usage, incoming: [String], outgoing: [String], results: [Int]?
  ) throws(Diagnostic) -> GraphFunction {
    var calls: [NodeID: PromotedCall] = [:]
    for node in usage.order {
      if let call = usage.calls[node] { calls[node] = try promote(call) }
    }
    var rebuilding = Rebuilding(function, usage, calls, types: analysis.types, library: library)
    return try rebuilding.run(incoming: incoming, outgoing: outgoing, results: results)
  }

  /// Promotes the functions that a node runs.
  private func promote(_ call: StateAnalysis.Call) throws(Diagnostic) -> PromotedCall {
    switch call {
    case .conditional(let then, let otherwise):
      let (first, second) = (try analysis.usage(of: then), try analysis.usage(of: otherwise))
      let incoming = StateAnalysis.incoming(first, second)
      let outgoing = StateAnalysis.unique(first.assigned + second.assigned)
      let branches = (
        try promote(then, incoming: incoming, outgoing: outgoing),
        try promote(otherwise, incoming: incoming, outgoing: outgoing)
      )
      let operation: any BranchOperation =
        first.hasEffect || second.hasEffect
        ? Self.conditional(If(), branches) : Self.conditional(StatelessIf(), branches)
      return PromotedCall(operation: operation, incoming: incoming, outgoing: outgoing)
    case .loop(let condition, let body):
      let (first, second) = (try analysis.usage(of: condition), try analysis.usage(of: body))
      let carried = StateAnalysis.carried(first, second)
      let functions = (
        try promote(condition, incoming: carried, outgoing: [], results: [0]),
        try promote(body, incoming: carried, outgoing: carried)
      )
      let operation: any LoopOperation =
        first.hasEffect || second.hasEffect
        ? Self.loop(While(), functions) : Self.loop(StatelessWhile(), functions)
      return PromotedCall(operation: operation, incoming: carried, outgoing: carried)
    case .inline(let key):
      let inner = try analysis.usage(of: key)
      let incoming = StateAnalysis.incoming(inner, inner)
      let name = try promote(key, incoming: incoming, outgoing: inner.assigned)
      // Without variables and effects a call is pure, so that it can be expanded.
      return PromotedCall(
        operation: inner.hasEffect ? nil : Self.call(name), incoming: incoming, outgoing: inner.assigned,
        renamed: [key.function: name])
    case .other(let keys):
      var names: [FunctionName: FunctionName] = [:]
      for key in keys { names[key.function] = try promote(key, incoming: [], outgoing: []) }
      return PromotedCall(operation: nil, renamed: names)
    }
  }
}

extension StatePromoter {
  private static func conditional<O: BranchOperation>(
    _ operation: O, _ branches: (then: FunctionName, else: FunctionName)
  ) -> O {
    var operation = operation
    (operation.thenBranch, operation.elseBranch) = branches
    return operation
  }

  private static func call(_ function: FunctionName) -> PartitionedCall {
    var operation = PartitionedCall()
    operation.function = function
    return operation
  }

  private static func loop<O: LoopOperation>(
    _ operation: O, _ functions: (condition: FunctionName, body: FunctionName)
  ) -> O {
    var operation = operation
    (operation.condition, operation.body) = functions
    return operation
  }
}

/// A node that runs sub-graphs, after their promotion.
private struct PromotedCall {
  /// What stands in the node's place; nil to keep it, under new names of its functions.
  var operation: (any Operation)?
  var incoming: [String] = []
  var outgoing: [String] = []
  var renamed: [FunctionName: FunctionName] = [:]
}

/// One function on its way to its promoted form.
private struct Rebuilding {
  let function: GraphFunction
  let usage: StateAnalysis.Usage
  let calls: [NodeID: PromotedCall]
  let types: [String: TensorType]
  let graph: Graph
  private var values: [Output?]
  private var current: [String: Output] = [:]
  private var targets: [NodeID] = []

  init(
    _ function: GraphFunction, _ usage: StateAnalysis.Usage, _ calls: [NodeID: PromotedCall],
    types: [String: TensorType], library: FunctionLibrary
  ) {
    self.function = function
    self.usage = usage
    self.calls = calls
    self.types = types
    graph = Graph(GraphStorage(), library: library)
    values = Array(repeating: nil, count: function.body.valueCount)
  }

  mutating func run(
    incoming: [String], outgoing: [String], results kept: [Int]?
  ) throws(Diagnostic) -> GraphFunction {
    let body = function.body
    var arguments: [ValueID] = []
    for argument in function.arguments where usage.variables[argument] == nil {
      let node = body.producer(of: argument)
      let output = graph.add(
        Argument(index: arguments.count, type: body.type(of: argument)), name: body.name(of: node),
        site: body.site(of: node))[0]
      values[Int(argument.index)] = output
      arguments.append(output.id)
    }
    for name in incoming {
      guard let type = types[name] else { continue }
      let output = graph.add(
        Argument(index: arguments.count, type: .tensor(type)), name: name, site: .unknown)[0]
      current[name] = output
      arguments.append(output.id)
    }
    for node in usage.order where !body.traits(of: node).contains(.argument) { try copy(node) }

    var results: [ValueID] = []
    for (i, result) in function.results.enumerated() where kept?.contains(i) ?? true {
      let value = body.resolve(result)
      if usage.variables[value] == nil { results.append(try output(value).id) }
    }
    for name in outgoing {
      guard let value = current[name] else { preconditionFailure("variable \(name) has no value at the end") }
      results.append(value.id)
    }
    if let mistake = graph.diagnostics.last { throw mistake }
    return GraphFunction(
      name: function.name, body: graph.storage, arguments: arguments, results: results, targets: targets)
  }

  private func output(_ value: ValueID) throws(Diagnostic) -> Output {
    guard let output = values[Int(value.index)] else {
      throw Diagnostic("'\(function.body.name(of: value))' is used where it has no value")
    }
    return output
  }

  private mutating func copy(_ node: NodeID) throws(Diagnostic) {
    let body = function.body
    let operands = body.operands(of: node)
    let results = body.results(of: node)
    switch body.stateRole(of: node) {
    case .variable: break
    case .read:
      guard let name = usage.variables[operands[0]] else { break }
      values[Int(results[0].index)] = current[name]
    case .assign:
      guard let name = usage.variables[operands[0]] else { break }
      try assign(name, try output(operands[1]), node)
    case .accumulate(let negated):
      guard let name = usage.variables[operands[0]], let old = current[name] else { break }
      let operation: any Operation = negated ? Sub() : AddV2()
      try assign(name, try insert(operation, [old, try output(operands[1])], node)[0], node)
    case .update(let count):
      try update(node, count)
    case .none, .control:
      if let call = calls[node] {
        try copy(node, call)
      } else if !results.contains(where: { usage.variables[$0] != nil }) {
        var new: [Output] = []
        for operand in operands { new.append(try output(operand)) }
        try bind(results, insert(body.operation(of: node), new, node))
      }
    }
  }

  private mutating func update(_ node: NodeID, _ count: Int) throws(Diagnostic) {
    let body = function.body
    guard let operation = body.operation(of: node) as? any UpdateOperation else {
      preconditionFailure("\(body.schema(of: node).name) says that it updates variables, and not how")
    }
    var operands: [Output] = []
    for operand in body.operands(of: node) {
      if let value = usage.variables[operand].flatMap({ current[$0] }) {
        operands.append(value)
      } else {
        operands.append(try output(operand))
      }
    }
    let (graph, values) = (graph, operands)
    let updated = try graph.withSite(body.site(of: node)) { () throws(Diagnostic) in
      try graph.withReplacementScope(body.name(of: node)) { () throws(Diagnostic) in try operation.updated(values) }
    }
    if let mistake = graph.diagnostics.last { throw mistake }
    for (operand, value) in zip(body.operands(of: node).prefix(count), updated) {
      if let name = usage.variables[operand] { try assign(name, value, node) }
    }
  }

  private mutating func assign(_ name: String, _ value: Output, _ node: NodeID) throws(Diagnostic) {
    if let type = types[name], !type.shape.isCompatible(with: value.shape) || type.elementType != value.elementType {
      let body = function.body
      throw Diagnostic(
        "the value does not fit the variable '\(name)'",
        operation: "\(body.schema(of: node).name) '\(body.name(of: node))'", required: "\(type)",
        found: "\(value.type)", site: body.site(of: node))
    }
    current[name] = value
    // An operation that also gives back what it assigned.
    for result in function.body.results(of: node) { values[Int(result.index)] = value }
  }

  private mutating func copy(_ node: NodeID, _ call: PromotedCall) throws(Diagnostic) {
    let body = function.body
    var operands: [Output] = []
    for operand in body.operands(of: node) where usage.variables[operand] == nil {
      operands.append(try output(operand))
    }
    for name in call.incoming {
      guard let value = current[name] else { preconditionFailure("variable \(name) has no value for a call") }
      operands.append(value)
    }
    var operation = call.operation ?? body.operation(of: node)
    if call.operation == nil { operation = try operation.renamingFunctions(call.renamed) }
    let outputs = try insert(operation, operands, node)
    let results = body.results(of: node).filter { if case .resource = body.type(of: $0) { false } else { true } }
    bind(results, Array(outputs.prefix(results.count)))
    for (name, value) in zip(call.outgoing, outputs.dropFirst(results.count)) { current[name] = value }
    try checkBranches(node, operation, call, resultCount: results.count)
  }

  /// A conditional's branches may leave a variable in one shape only.
  private func checkBranches(
    _ node: NodeID, _ operation: any Operation, _ call: PromotedCall, resultCount: Int
  ) throws(Diagnostic) {
    guard case .conditional = usage.calls[node] else { return }
    let body = function.body
    for (i, name) in call.outgoing.enumerated() {
      let types = operation.functions.compactMap {
        graph.library[$0]?.signature.results.dropFirst(resultCount + i).first
      }
      guard types[0] != types[1], types.allSatisfy({ $0.shape.isFullyKnown }) else { continue }
      throw Diagnostic(
        "the branches leave the variable '\(name)' in different shapes",
        operation: "\(body.schema(of: node).name) '\(body.name(of: node))'",
        required: "\(types[0]), as after the first",
        found: "\(types[1])", site: body.site(of: node))
    }
  }

  private mutating func bind(_ old: [ValueID], _ new: [Output]) {
    for (old, new) in zip(old, new) { values[Int(old.index)] = new }
  }

  private mutating func insert(
    _ operation: any Operation, _ operands: [Output], _ node: NodeID
  ) throws(Diagnostic) -> [Output] {
    let body = function.body
    let (new, outputs) = graph.insert(
      operation, operands, name: body.name(of: node), controls: [], site: body.site(of: node),
      scope: body.scope(of: node))
    if let mistake = graph.diagnostics.last { throw mistake }
    if graph.storage.hasEffect(new) { targets.append(new) }
    return outputs
  }
}
