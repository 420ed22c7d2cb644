import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Makes an `ExecutionPlan` of a program in fused form: kernels to steps, then memory.
///
/// In the fused form every shape is known, composites are expanded, variables are arguments and results of the main
/// function, and each node's lowering is final. First the steps are put in order, then memory is laid out for that order.
public final class Planner {
  let program: Program
  let target: any SchedulingTarget
  private(set) var plan = ExecutionPlan()

  private var kernelIndex: [KernelKey: Int] = [:]
  private struct KernelKey: Hashable {
    var program: StructuralKey
    var isOnHost: Bool
  }
  /// For each kernel an estimate of its work, in floating-point additions.
  private var kernelWork: [Int] = []
  private var savedNanoseconds = 0
  private var contractIndex: [LibraryContract: Int] = [:]
  private var constantIndex: [ObjectIdentifier: Int] = [:]
  private var originIndex: [PlanOrigin: Int] = [:]
  private var effects: [String: Bool] = [:]
  private var failures: [String: Bool] = [:]

  /// The memory that slots share, by number; `slotGroups` has each slot's.
  private(set) var groups: [Group] = []
  private(set) var slotGroups: [Int] = []
  /// The bytes before each slot in its group.
  private(set) var slotOffsets: [Int] = []
  /// The group of the surrounding block in which a block's arena lies; nil for the main one.
  private var blockArenas: [Int?] = []
  private var depth = 0

  /// One stretch of memory that several slots may use, one after the other.
  struct Group {
    /// Where it lies, if that is not in the arena.
    var place: PlanSlot.Place?
    /// The block in whose part of the arena it lies.
    var block = 0
    var byteCount: Int
    /// Relative to the block's part of the arena.
    var offset = 0
  }

  private init(_ program: Program, _ target: any SchedulingTarget) {
    self.program = program
    self.target = target
  }

  /// The plan of a program for a device.
  ///
  /// - Throws: what is wrong with the first node that cannot be scheduled: a shape that depends on data, an operation
  ///   that does not run.
  public static func plan(_ program: Program, for target: any SchedulingTarget) throws(Diagnostic) -> ExecutionPlan {
    let planner = Planner(program, target)
    try planner.planMain()
    return planner.plan
  }

  private func planMain() throws(Diagnostic) {
    let main = program.main
    var arguments = [Int?](repeating: nil, count: main.arguments.count)
    var variableArguments: [Int: Int] = [:]
    for (i, variable) in program.variables.enumerated() {
      let group = addGroup(place: .variable(i), byteCount: try Self.byteCount(of: variable.type, name: variable.name))
      var binding = variable
      binding.argument = variable.argument.map { _ in addSlot(group, variable.type, variable.name) }
      binding.result = variable.result.map { _ in addSlot(group, variable.type, variable.name) }
      plan.variables.append(binding)
      if let argument = variable.argument { variableArguments[argument] = binding.argument }
    }
    for (i, argument) in main.arguments.enumerated() {
      if let slot = variableArguments[i] {
        arguments[i] = slot
        continue
      }
      let name = main.body.name(of: argument)
      guard let type = main.body.type(of: argument).tensor else { continue }
      let number = plan.arguments.count
      let slot = addSlot(
        addGroup(place: .argument(number), byteCount: try Self.byteCount(of: type, name: name)), type, name)
      plan.arguments.append(PlanPort(name: name, type: type, slot: slot))
      arguments[i] = slot
    }
    let variableResults = Set(program.variables.compactMap(\.result))
    var destinations: [Destination] = []
    for (variable, binding) in zip(program.variables, plan.variables) {
      guard let result = variable.result, let slot = binding.result else { continue }
      destinations.append(Destination(result: result, slot: slot))
    }
    for (i, result) in main.results.enumerated() where !variableResults.contains(i) {
      let value = main.body.resolve(result)
      let name = main.body.name(of: value)
      guard let type = main.body.type(of: value).tensor else {
        throw Diagnostic("'\(name)' cannot be fetched", found: "\(main.body.type(of: value))")
      }
      let number = plan.results.count
      let slot = addSlot(
        addGroup(place: .result(number), byteCount: try Self.byteCount(of: type, name: name)), type, name)
      plan.results.append(PlanPort(name: name, type: type, slot: slot))
      destinations.append(Destination(result: i, slot: slot))
    }
    _ = origin(PlanOrigin(operation: "Run", name: main.name, site: .unknown))
    let (_, size) = try planBlock(main, arguments: arguments, destinations: destinations, arena: nil)
    plan.arenaBytes = size
    placeSlots()
    dropIdleGroups()
  }

  /// Where a function's result goes.
  struct Destination {
    var result: Int
    var slot: Int
  }

  /// Plans a function as a block.
  ///
  /// - Parameter arena: the group of the surrounding block that holds this block's part of the arena.
  /// - Returns: the block's number and the bytes of its part of the arena.
  func planBlock(
    _ function: GraphFunction, arguments: [Int?], destinations: [Destination], arena: Int?
  ) throws(Diagnostic) -> (block: Int, size: Int) {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.deepestNesting else {
      throw Diagnostic(
        "functions are nested more than \(Self.deepestNesting) deep",
        found: "function '\(function.name)'", hint: "a function that runs itself is not supported")
    }
    let block = plan.blocks.count
    plan.blocks.append(PlanBlock(name: function.name))
    blockArenas.append(arena)
    var builder = BlockBuilder(function, planner: self)
    let results = try builder.build(arguments: arguments)
    var scheduler = BlockScheduler(builder.draft, planner: self)
    scheduler.place(destinations.map { (results[$0.result], $0.slot) })
    let dealt = StepGrouping.deal(
      scheduler.draft, order: scheduler.order(), costs: scheduler.draft.nodes.map { nanoseconds(of: $0) },
      workers: target.workerCount)
    savedNanoseconds += dealt.saved
    plan.blocks[block].groups = dealt.groups
    var memory = BlockMemory(scheduler, order: dealt.order, groups: dealt.groups, block: block, planner: self)
    let (instructions, size) = try memory.layOut()
    plan.blocks[block].instructions = instructions
    return (block, size)
  }

  /// What a small kernel or library call takes on one worker, about; nil for what is not dealt to workers.
  private func nanoseconds(of node: BlockDraft.Node) -> Int? {
    guard !node.isWide, !node.hasEffect else { return nil }
    switch node.work {
    case .kernel(let kernel): return 25 + kernelWork[kernel] / 64
    case .library(let contract): return device(onHost: node.isOnHost).nanoseconds(for: plan.contracts[contract])
    case .copy, .join, .host, .conditional, .loop: return nil
    }
  }

  /// Takes groups out of a plan that is narrow but for them, where they save less than it may cost to hand the run to the
  /// team.
  private func dropIdleGroups() {
    guard savedNanoseconds < Self.teamHandover,
      !plan.blocks.contains(where: { $0.instructions.contains(where: \.isWide) })
    else { return }
    for block in plan.blocks.indices { plan.blocks[block].groups = [] }
  }

  /// What it takes at most, in nanoseconds, until another thread than the caller has begun with a run.
  private static let teamHandover = 30_000

  /// Whether a slot is a variable's own memory.
  func isVariable(slot: Int) -> Bool {
    if case .variable = groups[slotGroups[slot]].place { true } else { false }
  }

  /// Whether a slot is an array that the run hands out.
  func isResult(slot: Int) -> Bool {
    if case .result = groups[slotGroups[slot]].place { true } else { false }
  }

  private static let deepestNesting = 64

  /// Gives every slot its place, now that the blocks' parts of the arena have theirs.
  private func placeSlots() {
    // A block is numbered after the one around it.
    var bases = [Int](repeating: 0, count: plan.blocks.count)
    for (block, arena) in blockArenas.enumerated() {
      if let arena { bases[block] = bases[groups[arena].block] + groups[arena].offset }
    }
    for i in plan.slots.indices {
      let group = groups[slotGroups[i]]
      if let place = group.place {
        plan.slots[i].place = place
        plan.slots[i].offset = slotOffsets[i]
      } else {
        plan.slots[i].place = .arena(bases[group.block] + group.offset + slotOffsets[i])
      }
    }
  }

  // MARK: Slots and groups

  var slots: [PlanSlot] { plan.slots }

  func addGroup(place: PlanSlot.Place? = nil, block: Int = 0, byteCount: Int) -> Int {
    groups.append(Group(place: place, block: block, byteCount: byteCount))
    return groups.count - 1
  }

  func addSlot(
    _ group: Int, _ type: TensorType?, _ name: String, byteCount: Int? = nil, offset: Int = 0, whole: Int? = nil
  ) -> Int {
    plan.slots.append(
      PlanSlot(
        place: groups[group].place ?? .arena(0), byteCount: byteCount ?? groups[group].byteCount, type: type,
        name: name, whole: whole))
    slotGroups.append(group)
    slotOffsets.append(offset)
    return plan.slots.count - 1
  }

  func place(group: Int, at offset: Int) { groups[group].offset = offset }
  func grow(group: Int, to byteCount: Int) { groups[group].byteCount = max(groups[group].byteCount, byteCount) }
  func grow(slot: Int, to byteCount: Int) { plan.slots[slot].byteCount = max(plan.slots[slot].byteCount, byteCount) }

  // MARK: Tables

  /// The device that runs what is on the processor, or else the target.
  func device(onHost: Bool) -> any SchedulingTarget {
    guard onHost, let host = target.host else { return target }
    guard let host = host as? any SchedulingTarget else {
      preconditionFailure("the processor beside \(target.name) is nothing to plan for")
    }
    return host
  }

  func kernel(_ program: StageProgram, label: String, onHost: Bool) throws(Diagnostic) -> Int {
    let key = KernelKey(program: program.structuralKey, isOnHost: onHost)
    if let number = kernelIndex[key] { return number }
    let code = device(onHost: onHost).code(for: program, label: label)
    plan.kernels.append(PlanKernel(program: program, code: code, label: label))
    kernelWork.append(program.work)
    kernelIndex[key] = plan.kernels.count - 1
    return plan.kernels.count - 1
  }

  /// A kernel of an operation's own code.
  func kernel(_ code: any KernelCode, label: String) -> Int {
    plan.kernels.append(PlanKernel(program: nil, code: code, label: label))
    kernelWork.append(0)
    return plan.kernels.count - 1
  }

  /// Whether some phase of the kernel is worth more than one worker.
  func isWide(kernel: Int, onHost: Bool) -> Bool {
    device(onHost: onHost).workerCount > 1 && plan.kernels[kernel].code.isWide
  }

  func contract(_ contract: LibraryContract) -> Int {
    if let number = contractIndex[contract] { return number }
    plan.contracts.append(contract)
    contractIndex[contract] = plan.contracts.count - 1
    return plan.contracts.count - 1
  }

  /// The slot of a constant; the same for every use of one constant object.
  func slot(of constant: Constant, name: String) -> Int {
    if let slot = constantIndex[ObjectIdentifier(constant)] { return slot }
    plan.constants.append(constant)
    let group = addGroup(place: .constant(plan.constants.count - 1), byteCount: constant.byteCount)
    let slot = addSlot(group, constant.type, name)
    constantIndex[ObjectIdentifier(constant)] = slot
    return slot
  }

  func add(_ call: HostCall) -> Int {
    plan.hostCalls.append(call)
    return plan.hostCalls.count - 1
  }

  func origin(_ origin: PlanOrigin) -> Int {
    if let number = originIndex[origin] { return number }
    plan.origins.append(origin)
    originIndex[origin] = plan.origins.count - 1
    return plan.origins.count - 1
  }

  func function(_ name: FunctionName) throws(Diagnostic) -> GraphFunction {
    guard let function = program.library[name] else {
      throw Diagnostic("the function '\(name.name)' is not in the graph")
    }
    return function
  }

  /// Whether a function, or one that it runs, has a node that must run for its effect.
  func hasEffect(_ function: GraphFunction) -> Bool {
    hasNode(function, &effects) { body, node in body.hasEffect(node) }
  }

  /// Whether a function, or one that it runs, has a node that may end the run: a kernel that checks indices, host code.
  func canFail(_ function: GraphFunction) -> Bool {
    hasNode(function, &failures) { body, node in
      (body.operation(of: node) as? FusedKernel)?.program.canFail ?? body.hasEffect(node)
    }
  }

  private func hasNode(
    _ function: GraphFunction, _ cache: inout [String: Bool], where holds: (GraphStorage, NodeID) -> Bool
  ) -> Bool {
    if let known = cache[function.name] { return known }
    // A function that runs itself is found out when its blocks are planned.
    cache[function.name] = false
    let body = function.body
    var found = false
    for node in body.topologicalOrder(results: function.results, targets: function.targets) where !found {
      let functions = body.operation(of: node).functions
      found = functions.isEmpty && holds(body, node)
      for case let callee? in functions.map({ program.library[$0] }) where !found {
        found = hasNode(callee, &cache, where: holds)
      }
    }
    cache[function.name] = found
    return found
  }

  /// The largest array that a plan has room for.
  private static let largestArray = 1 << 44

  /// The bytes of an array.
  ///
  /// - Throws: a diagnostic if its shape is not known or its size is beyond reason.
  static func byteCount(of type: TensorType, name: String) throws(Diagnostic) -> Int {
    guard let extents = type.shape.known else {
      throw Diagnostic(
        "the shape of '\(name)' is not known before the run", found: "\(type)",
        hint: "shapes that depend on the data are not supported; feed or build it with a known shape")
    }
    guard let count = Tensor.checkedByteCount(elementType: type.elementType, shape: extents), count <= largestArray
    else {
      throw Diagnostic("'\(name)' is no array that fits in memory", found: "\(type)")
    }
    return count
  }
}
