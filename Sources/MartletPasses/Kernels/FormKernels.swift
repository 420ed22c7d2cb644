import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletRewriting
import MartletTensors

/// Puts operations together into kernels, and decides which ones a library does.
///
/// What comes out: `FusedKernel` nodes, library calls that the target claims, reshapes as aliases, host code, control
/// flow, arguments and constants.
public struct FormKernels: Pass {
  public let name = "FormKernels"
  /// Without fusion each operation is a kernel of its own.
  public var isFusing: Bool
  /// Whether operations keep their own rounding to 16 bits within a kernel.
  public var isExact: Bool

  public init(fusing: Bool = true, exact: Bool = false) { (isFusing, isExact) = (fusing, exact) }

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    let target = context.target
    return try program.mapFunctions { function, library throws(Diagnostic) in
      var former = try KernelFormer(function, library: library, target: target, isFusing: isFusing, isExact: isExact)
      return try former.run()
    }
  }
}

/// Forms the kernels of one function.
private struct KernelFormer {
  private let function: GraphFunction
  private let body: GraphStorage
  private let graph: Graph
  private let grouping: KernelGrouping
  private let members: [NodeID: [NodeID]]
  private var programs = KernelComposer.Known()
  private var values: [Output?]
  private var nodes: [NodeID?]
  private var kernelCount = 0

  init(
    _ function: GraphFunction, library: FunctionLibrary, target: any Target, isFusing: Bool, isExact: Bool
  ) throws(Diagnostic) {
    self.function = function
    body = function.body
    graph = Graph(GraphStorage(), library: library)
    var roles = [KernelGrouping.Role](repeating: .barrier, count: body.nodeCount)
    var numbers = [Int](repeating: -1, count: body.nodeCount)
    var lowerings = LoweringTable(body, exact: isExact)
    let order = body.topologicalOrder(results: function.results, targets: function.targets)
    var contracts: [LibraryContract] = []
    for node in order {
      guard case .library(let contract, _) = try lowerings.lowering(of: node),
        !function.body.isOnHost(node, beside: target)
      else { continue }
      contracts.append(contract)
    }
    target.prepare(contracts)
    for node in order {
      roles[Int(node.index)] = try lowerings.role(of: node, target)
      numbers[Int(node.index)] = try lowerings.number(of: node)
    }
    let onHost = body.nodes.filter { function.body.isOnHost($0, beside: target) }
    grouping = KernelGrouping(function, roles: roles, lowerings: numbers, isFusing: isFusing, onHost: Set(onHost))
    members = grouping.members()
    values = Array(repeating: nil, count: body.valueCount)
    nodes = Array(repeating: nil, count: body.nodeCount)
  }

  mutating func run() throws(Diagnostic) -> GraphFunction {
    for (i, argument) in function.arguments.enumerated() {
      let node = body.producer(of: argument)
      values[Int(argument.index)] =
        graph.add(
          Argument(index: i, type: body.type(of: argument)), name: body.name(of: node), site: body.site(of: node))[0]
    }
    for node in grouping.emission {
      if body.traits(of: node).contains(.argument) { continue }
      switch grouping.roles[Int(node.index)] {
      case .repeated:
        if !body.traits(of: node).contains(.constant), grouping.isUsedOutsideKernels(node) {
          try emit([node], root: node)
        }
      case .barrier:
        if !isRepeatedConstant(node) { copy(node) }
      case .stages, .reshape, .join:
        guard let root = grouping.root[Int(node.index)] else {
          copy(node)
          continue
        }
        if root == node { try emit(members[node] ?? [node], root: node) }
      }
    }
    let results = function.results.map { value(body.resolve($0)) }
    let targets = function.targets.compactMap { nodes[Int($0.index)] }
    return GraphFunction(
      name: function.name, body: graph.storage, arguments: function.arguments.map { value($0).id },
      results: results.map(\.id), targets: targets, gradient: function.gradient)
  }

  private func isRepeatedConstant(_ node: NodeID) -> Bool {
    if case .repeated = grouping.roles[Int(node.index)] { true } else { false }
  }

  /// The new graph's value; a constant that kernels repeat is added when something else needs it.
  private mutating func value(_ old: ValueID) -> Output {
    if let known = values[Int(old.index)] { return known }
    copy(body.producer(of: old))
    guard let output = values[Int(old.index)] else { preconditionFailure("\(body.name(of: old)) was not emitted") }
    return output
  }

  private mutating func copy(_ node: NodeID) {
    let operands = body.operands(of: node).map { value($0) }
    let new = graph.insert(
      body.operation(of: node), operands, name: body.name(of: node),
      controls: body.controls(of: node).compactMap { nodes[Int($0.index)] }, site: body.site(of: node),
      scope: body.scope(of: node))
    for (old, output) in zip(body.results(of: node), new.outputs) { values[Int(old.index)] = output }
    nodes[Int(node.index)] = new.node
  }

  /// Adds the kernel of a group.
  private mutating func emit(_ group: [NodeID], root: NodeID) throws(Diagnostic) {
    var composer = KernelComposer(body: body)
    for node in withRepeated(group) {
      if let program = grouping.program(of: node) {
        composer.add(node, program, lowering: grouping.lowerings[Int(node.index)])
      }
    }
    let used = group.filter { grouping.isVisible($0) }.flatMap { node in
      body.results(of: node).filter { grouping.isValueUsed($0, outside: root) }
    }
    // A node that only has to run has no user.
    let outputs = used.isEmpty ? Array(body.results(of: root).prefix(1)) : used
    let program = composer.program(outputs: outputs, &programs).program
    let kernel = FusedKernel(number: kernelCount, label: label(group), program: program)
    kernelCount += 1
    let operands = composer.inputs.map { value($0) }
    let new = graph.insert(
      kernel, operands, name: body.name(of: root), controls: [], site: body.site(of: root), scope: body.scope(of: root))
    if let mistake = graph.diagnostics.last { throw mistake }
    for (old, output) in zip(outputs, new.outputs) { values[Int(old.index)] = output }
    nodes[Int(root.index)] = new.node
  }

  /// The group with what it repeats, in topological order.
  private func withRepeated(_ group: [NodeID]) -> [NodeID] {
    var all = Set(group)
    var stack = group
    while let node = stack.popLast() {
      for operand in body.operands(of: node) {
        let producer = body.producer(of: operand)
        if isRepeatedConstant(producer), all.insert(producer).inserted { stack.append(producer) }
      }
    }
    return all.count == group.count ? group : grouping.inOrder(all)
  }

  private func label(_ group: [NodeID]) -> String {
    let names = group.map { body.label(of: $0) }
    var parts: [(name: String, count: Int)] = []
    for name in names {
      if parts.last?.name == name {
        parts[parts.count - 1].count += 1
      } else {
        parts.append((name, 1))
      }
    }
    let shown = parts.prefix(24).map { $0.count == 1 ? $0.name : "\($0.name)×\($0.count)" }
    return shown.joined(separator: "+") + (parts.count > 24 ? "+…" : "")
  }
}
