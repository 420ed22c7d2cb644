import MartletDiagnostics
import MartletGraph
import MartletRewriting
import MartletTensors

/// What a function does with variables, given which variables its arguments are.
final class StateAnalysis {
  /// A function and the variables among its arguments, in order.
  struct Key: Hashable {
    var function: FunctionName
    var variables: [String]
  }

  /// How a node runs sub-graphs.
  enum Call {
    case conditional(then: Key, else: Key)
    case loop(condition: Key, body: Key)
    /// A sub-graph in the place of the node.
    case inline(Key)
    case other([Key])
  }

  struct Usage {
    /// Variables whose value from before is needed, and those that may get a new one; each in the order of the first
    /// such node.
    var read: [String] = []
    var assigned: [String] = []
    /// Those that get a new value on every path.
    var overwritten: Set<String> = []
    /// Whether something remains to be run when variables are values.
    var hasEffect = false
    /// The needed nodes, in the order of their effects: that of their rows, which the control edges agree with.
    var order: [NodeID] = []
    /// The variables behind values of type resource.
    var variables: [ValueID: String] = [:]
    var calls: [NodeID: Call] = [:]

    mutating func addRead(_ name: String) {
      if !overwritten.contains(name), !read.contains(name) { read.append(name) }
    }
    mutating func addAssigned(_ name: String) {
      if !assigned.contains(name) { assigned.append(name) }
    }
  }

  let library: FunctionLibrary
  private(set) var types: [String: TensorType] = [:]
  private var known: [Key: Usage] = [:]
  private var open: Set<Key> = []

  init(library: FunctionLibrary) { self.library = library }

  func function(_ name: FunctionName) throws(Diagnostic) -> GraphFunction {
    guard let function = library[name] else { throw Diagnostic("the sub-graph \(name) is not in the graph") }
    return function
  }

  func usage(of key: Key) throws(Diagnostic) -> Usage {
    if let usage = known[key] { return usage }
    guard open.insert(key).inserted else {
      throw Diagnostic("the sub-graph \(key.function) runs itself", hint: "recursion is not supported; use a loop")
    }
    let usage = try analyse(try function(key.function), variables: key.variables)
    known[key] = usage
    open.remove(key)
    return usage
  }

  /// - Parameter variables: the names of those arguments that are variables, in order.
  func analyse(_ function: GraphFunction, variables: [String]) throws(Diagnostic) -> Usage {
    let body = function.body
    var usage = Usage()
    let resources = function.arguments.filter { if case .resource = body.type(of: $0) { true } else { false } }
    guard resources.count == variables.count else {
      throw Diagnostic("the sub-graph '\(function.name)' is given a wrong number of variables")
    }
    for (argument, name) in zip(resources, variables) {
      usage.variables[argument] = name
      try register(name, body.type(of: argument))
    }
    usage.order = body.topologicalOrder(results: function.results, targets: function.targets)
    for node in usage.order {
      do throws(Diagnostic) { try analyse(node, body, &usage) } catch {
        var diagnostic = error
        diagnostic.operation = diagnostic.operation ?? "\(body.schema(of: node).name) '\(body.name(of: node))'"
        if diagnostic.site == .unknown { diagnostic.site = body.site(of: node) }
        throw diagnostic
      }
    }
    return usage
  }

  private func register(_ name: String, _ type: ValueType) throws(Diagnostic) {
    guard let type = type.content else { return }
    if let known = types[name], known.elementType != type.elementType || !known.shape.isCompatible(with: type.shape) {
      throw Diagnostic("two variables have the name '\(name)'", required: "\(known)", found: "\(type)")
    }
    if !(types[name]?.shape.isFullyKnown ?? false) { types[name] = type }
  }

  private func analyse(_ node: NodeID, _ body: GraphStorage, _ usage: inout Usage) throws(Diagnostic) {
    let operation = body.operation(of: node)
    let operands = body.operands(of: node)
    switch body.stateRole(of: node) {
    case .variable(let name):
      let result = body.results(of: node)[0]
      usage.variables[result] = name
      try register(name, body.type(of: result))
    case .read: usage.addRead(try variable(operands[0], body, usage))
    case .assign:
      let name = try variable(operands[0], body, usage)
      usage.addAssigned(name)
      usage.overwritten.insert(name)
    case .accumulate:
      let name = try variable(operands[0], body, usage)
      usage.addRead(name)
      usage.addAssigned(name)
      usage.overwritten.insert(name)
    case .update(let count):
      for operand in operands.prefix(count) {
        let name = try variable(operand, body, usage)
        usage.addRead(name)
        usage.addAssigned(name)
        usage.overwritten.insert(name)
      }
    case .none, .control:
      guard operation.functions.isEmpty else {
        try analyseCall(node, body, &usage)
        return
      }
      if body.hasEffect(node) { usage.hasEffect = true }
      guard operands.contains(where: { usage.variables[$0] != nil }) else { return }
      // An alias of a variable is that variable.
      let result = body.results(of: node).first
      guard operands.count == 1, let result, case .resource = body.type(of: result) else {
        throw Diagnostic("a variable stands where its value is needed", hint: "read the variable")
      }
      usage.variables[result] = usage.variables[operands[0]]
    }
  }

  private func variable(
    _ value: ValueID, _ body: GraphStorage, _ usage: Usage
  ) throws(Diagnostic) -> String {
    guard let name = usage.variables[value] else {
      throw Diagnostic("it is not known which variable '\(body.name(of: value))' is")
    }
    return name
  }

  private func analyseCall(_ node: NodeID, _ body: GraphStorage, _ usage: inout Usage) throws(Diagnostic) {
    let operation = body.operation(of: node)
    let operands = body.operands(of: node)
    let handed = operands[operation.functionArguments(operandCount: operands.count)]
    let variables = handed.compactMap { usage.variables[$0] }
    switch try body.lowering(of: node) {
    case .conditional(let then, let otherwise):
      let keys = (Key(function: then, variables: variables), Key(function: otherwise, variables: variables))
      let (first, second) = (try self.usage(of: keys.0), try self.usage(of: keys.1))
      usage.calls[node] = .conditional(then: keys.0, else: keys.1)
      usage.hasEffect = usage.hasEffect || first.hasEffect || second.hasEffect
      for name in Self.incoming(first, second) { usage.addRead(name) }
      for name in first.assigned + second.assigned { usage.addAssigned(name) }
      usage.overwritten.formUnion(first.overwritten.intersection(second.overwritten))
    case .loop(let condition, let loopBody):
      let keys = (Key(function: condition, variables: variables), Key(function: loopBody, variables: variables))
      let (first, second) = (try self.usage(of: keys.0), try self.usage(of: keys.1))
      guard first.assigned.isEmpty else {
        throw Diagnostic("the loop's condition assigns the variable '\(first.assigned[0])'")
      }
      usage.calls[node] = .loop(condition: keys.0, body: keys.1)
      usage.hasEffect = usage.hasEffect || first.hasEffect || second.hasEffect
      for name in Self.carried(first, second) { usage.addRead(name) }
      for name in second.assigned { usage.addAssigned(name) }
    case .composite where operation.functions.count == 1:
      let key = Key(function: operation.functions[0], variables: variables)
      let inner = try self.usage(of: key)
      usage.calls[node] = .inline(key)
      usage.hasEffect = usage.hasEffect || inner.hasEffect
      for name in Self.incoming(inner, inner) { usage.addRead(name) }
      for name in inner.assigned { usage.addAssigned(name) }
      usage.overwritten.formUnion(inner.overwritten)
    default:
      var keys: [Key] = []
      for name in operation.functions {
        let key = Key(function: name, variables: variables)
        let inner = try self.usage(of: key)
        guard inner.read.isEmpty, inner.assigned.isEmpty else {
          throw Diagnostic("the sub-graph \(name) uses variables, which only branches and loops may do")
        }
        usage.hasEffect = usage.hasEffect || inner.hasEffect
        keys.append(key)
      }
      usage.calls[node] = .other(keys)
    }
  }

  /// The variables whose value two branches are given: those that one of them reads or leaves as they are.
  static func incoming(_ a: Usage, _ b: Usage) -> [String] {
    let both = a.overwritten.intersection(b.overwritten)
    return unique(a.read + b.read + (a.assigned + b.assigned).filter { !both.contains($0) })
  }
  /// The variables that go round a loop.
  static func carried(_ condition: Usage, _ body: Usage) -> [String] {
    unique(condition.read + body.read + body.assigned)
  }
  static func unique(_ names: [String]) -> [String] {
    var seen: Set<String> = []
    return names.filter { seen.insert($0).inserted }
  }
}
