import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Lays out a block's memory for a given order, and writes its instructions.
struct BlockMemory {
  private let draft: BlockDraft
  private let scheduler: BlockScheduler
  private let order: [Int]
  /// For each step the last one, maybe itself, that may begin before it is over. Memory that a step uses is free behind that.
  private var lastBeside: [Int]
  /// For steps in groups, the group's first step and its clocks.
  private var groupOf: [Int?]
  private let clocks: [(start: Int, clocks: GroupClocks)]
  /// For each node its step.
  private var position: [Int]
  private let block: Int
  private let planner: Planner

  /// Memory in this block's part of the arena, and the steps at which it is in use.
  private struct Local {
    var group: Int
    var byteCount: Int
    var start: Int
    var end: Int
  }
  private var locals: [Local] = []
  /// For each cell the last step that uses it, its local memory and its slot.
  private var lastUse: [Int]
  private var local: [Int?]
  private var slots: [Int?]
  /// For what is computed in its place in a joined value, that value and the bytes before it.
  private var joined: [Int: (whole: Int, offset: Int)] = [:]
  /// The values that others are computed in.
  private var wholes: Set<Int> = []

  init(_ scheduler: BlockScheduler, order: [Int], groups: [PlanGroup], block: Int, planner: Planner) {
    self.scheduler = scheduler
    self.draft = scheduler.draft
    self.order = order
    lastBeside = Array(order.indices)
    groupOf = Array(repeating: nil, count: order.count)
    clocks = groups.map { ($0.instructions.lowerBound, GroupClocks($0)) }
    for (number, group) in groups.enumerated() {
      let (start, clocks) = clocks[number]
      for (step, last) in zip(group.instructions, clocks.lastBeside) {
        lastBeside[step] = start + last
        groupOf[step] = number
      }
    }
    position = Array(repeating: 0, count: scheduler.draft.nodes.count)
    for (step, node) in order.enumerated() { position[node] = step }
    self.block = block
    self.planner = planner
    lastUse = Array(repeating: -1, count: draft.values.count)
    local = Array(repeating: nil, count: draft.values.count)
    slots = draft.values.map(\.slot)
  }

  /// The block's instructions, and the bytes of its part of the arena.
  mutating func layOut() throws(Diagnostic) -> ([PlanInstruction], Int) {
    findJoined()
    findLastUses()
    var instructions: [PlanInstruction] = []
    instructions.reserveCapacity(order.count)
    for (step, node) in order.enumerated() {
      assignResults(of: node, at: step)
      instructions.append(try instruction(for: node, at: step))
    }
    let (offsets, size) = ArenaPacker.pack(
      locals.map { .init(byteCount: planner.groups[$0.group].byteCount, start: $0.start, end: $0.end) })
    for (memory, offset) in zip(locals, offsets) { planner.place(group: memory.group, at: offset) }
    return (instructions, size)
  }

  private mutating func findLastUses() {
    func end(_ node: Int) -> Int { lastBeside[position[node]] }
    for value in draft.values {
      guard let producer = value.producer else { continue }
      let last = value.users.reduce(end(producer)) { max($0, end($1)) }
      lastUse[value.cell] = max(lastUse[value.cell], last)
    }
    for value in joined.keys.sorted() {
      let (whole, _) = place(ofJoined: value)
      lastUse[whole] = max(lastUse[whole], lastUse[value])
    }
  }

  // MARK: Joined values

  /// Finds what can be computed in its place in a joined value.
  private mutating func findJoined() {
    for number in order {
      guard case .join = draft.nodes[number].work else { continue }
      let node = draft.nodes[number]
      let whole = node.results[0]
      if let destination = scheduler.destinations[whole], !planner.isResult(slot: destination) { continue }
      var offset = 0
      for operand in node.operands {
        if joined[operand] == nil, isMovable(operand) {
          joined[operand] = (whole, offset)
          wholes.insert(whole)
        }
        offset += draft.values[operand].byteCount
      }
    }
  }

  /// Whether the memory of a value may be chosen freely.
  private func isMovable(_ number: Int) -> Bool {
    let value = draft.values[number]
    guard let producer = value.producer, value.base == nil, value.cell == number,
      scheduler.destinations[number] == nil
    else { return false }
    switch draft.nodes[producer].work {
    case .kernel, .library, .host, .join: return true
    case .copy, .conditional, .loop: return false
    }
  }

  /// Whether an operand of the node lies in the joined value `whole`.
  private func readsJoined(in whole: Int, _ node: Int) -> Bool {
    draft.nodes[node].operands.contains { joined[$0] != nil && place(ofJoined: $0).whole == whole }
  }

  /// The outermost value that a joined one is in, and the bytes before it there.
  private func place(ofJoined value: Int) -> (whole: Int, offset: Int) {
    var (value, offset) = (value, 0)
    while let outer = joined[value] { (value, offset) = (outer.whole, offset + outer.offset) }
    return (value, offset)
  }

  /// The group of a joined value that nothing contains, from the step on at which its first part is computed.
  private mutating func group(ofWhole number: Int, at step: Int) -> Int {
    if let destination = scheduler.destinations[number] { return planner.slotGroups[destination] }
    if let memory = local[number] { return locals[memory].group }
    let memory = addLocal(
      byteCount: draft.values[number].byteCount, from: step, to: lastUse[number])
    local[number] = memory
    return locals[memory].group
  }

  // MARK: Results

  private mutating func assignResults(of node: Int, at step: Int) {
    var taken: Set<Int> = []
    for result in draft.nodes[node].results {
      let value = draft.values[result]
      // What a loop leaves has its memory from the start of the loop.
      guard slots[value.cell] == nil else { continue }
      if let destination = scheduler.destinations[value.cell] {
        slots[value.cell] = destination
        continue
      }
      if joined[result] != nil {
        let (whole, offset) = place(ofJoined: result)
        let group = group(ofWhole: whole, at: step)
        slots[result] = planner.addSlot(group, value.type, value.name, byteCount: value.byteCount, offset: offset)
        continue
      }
      if local[value.cell] != nil {
        // Parts of it are there already.
      } else if let memory = reusable(for: result, of: node, at: step, except: taken) {
        taken.insert(memory)
        locals[memory].end = max(locals[memory].end, lastUse[value.cell])
        local[value.cell] = memory
      } else {
        local[value.cell] = addLocal(byteCount: value.byteCount, from: step, to: lastUse[value.cell])
      }
      let group = locals[local[value.cell]!].group
      slots[value.cell] = planner.addSlot(group, value.type, value.name, byteCount: value.byteCount)
    }
  }

  /// The memory of an operand that nobody needs after this node, and that the result may be written over.
  private func reusable(for result: Int, of node: Int, at step: Int, except taken: Set<Int>) -> Int? {
    for operand in candidates(for: result, of: node) {
      let value = draft.values[operand]
      guard !draft.readsPart(of: operand, node), !readsJoined(in: operand, node), let memory = local[value.cell],
        !taken.contains(memory), locals[memory].end == lastBeside[step],
        !isUsedBeside(node, operand, at: step),
        locals[memory].byteCount == draft.values[result].byteCount,
        scheduler.isInPlace(node, result: result, over: operand)
      else { continue }
      return memory
    }
    return nil
  }

  /// Whether an instruction that may run at the same time as the node, or after it, uses the memory of its operand.
  private func isUsedBeside(_ node: Int, _ operand: Int, at step: Int) -> Bool {
    guard let group = groupOf[step] else { return false }
    let (start, clocks) = clocks[group]
    return wholes.contains(operand)
      || draft.values[operand].users.contains { user in
        guard user != node, groupOf[position[user]] == group else { return false }
        return !clocks.isOver(position[user] - start, before: step - start)
      }
  }

  /// The operands whose memory a result could take, the most useful first.
  private func candidates(for result: Int, of node: Int) -> [Int] {
    let node = draft.nodes[node]
    switch node.work {
    case .copy: return node.operands
    case .kernel(let kernel):
      guard let output = node.results.firstIndex(of: result) else { return [] }
      return planner.plan.kernels[kernel].code.inPlaceCandidates(output: output).map { node.operands[$0] }
    case .conditional(let then, let otherwise):
      // Where one branch hands an operand on, nothing has to be copied in it.
      guard let output = node.results.firstIndex(of: result) else { return [] }
      return [then, otherwise].compactMap { branch in
        branch.arguments.firstIndex(of: branch.body.resolve(branch.results[output])).map { node.operands[$0 + 1] }
      }
    case .library(let contract):
      guard node.results.first == result else { return [] }
      return planner.plan.contracts[contract].inPlaceOperand.map { [node.operands[$0]] } ?? []
    case .host, .loop, .join: return []
    }
  }

  private mutating func addLocal(byteCount: Int, from start: Int, to end: Int) -> Int {
    let group = planner.addGroup(block: block, byteCount: byteCount)
    locals.append(Local(group: group, byteCount: byteCount, start: start, end: end))
    return locals.count - 1
  }

  private mutating func addScratch(byteCount: Int, at step: Int, _ name: String) -> Int {
    let memory = addLocal(byteCount: byteCount, from: step, to: lastBeside[step])
    return planner.addSlot(locals[memory].group, nil, name)
  }

  // MARK: Instructions

  private mutating func slot(of number: Int) -> Int {
    let value = draft.values[number]
    if let slot = slots[value.cell] { return slot }
    guard let base = value.base else { preconditionFailure("'\(value.name)' is used before it is computed") }
    let whole = slot(of: base.value)
    let slot = planner.addSlot(
      planner.slotGroups[whole], value.type, value.name, byteCount: value.byteCount,
      offset: planner.slotOffsets[whole] + base.offset, whole: whole)
    slots[value.cell] = slot
    return slot
  }

  private mutating func instruction(for number: Int, at step: Int) throws(Diagnostic) -> PlanInstruction {
    let node = draft.nodes[number]
    var operands: [Int] = []
    for operand in node.operands { operands.append(slot(of: operand)) }
    var results: [Int] = []
    for result in node.results { results.append(slot(of: result)) }
    var scratch: [Int] = []
    let action: PlanInstruction.Action
    switch node.work {
    case .kernel(let kernel):
      action = .kernel(kernel)
      let code = planner.plan.kernels[kernel].code
      for byteCount in code.temporaryBytes { scratch.append(addScratch(byteCount: byteCount, at: step, "temporary")) }
      if code.scratchBytes > 0 {
        let workers = node.isWide ? planner.device(onHost: node.isOnHost).workerCount : 1
        scratch.append(addScratch(byteCount: code.scratchBytes * workers, at: step, "scratch"))
      }
    case .library(let contract):
      action = .library(contract)
      let bytes = planner.device(onHost: node.isOnHost).scratchBytes(for: planner.plan.contracts[contract])
      if bytes > 0 { scratch.append(addScratch(byteCount: bytes, at: step, "scratchpad")) }
    case .host(let call): action = .host(call)
    case .copy: action = .copy
    case .join: action = .join
    case .conditional(let then, let otherwise):
      let destinations = results.enumerated().map { Planner.Destination(result: $0, slot: $1) }
      let arena = addScratch(byteCount: 0, at: step, "branches")
      action = .conditional(
        then: try plan(then, Array(operands.dropFirst()), destinations, arena),
        else: try plan(otherwise, Array(operands.dropFirst()), destinations, arena))
      scratch.append(arena)
    case .loop(let condition, let body, let changing):
      let arena = addScratch(byteCount: 0, at: step, "loop")
      let predicate = addScratch(byteCount: 1, at: step, "condition")
      var arguments = operands
      var states: [PlanLoop.State] = []
      for (i, result) in zip(changing, results) {
        let source = planner.slots[result]
        arguments[i] = planner.addSlot(
          planner.slotGroups[result], source.type, source.name, byteCount: source.byteCount,
          offset: planner.slotOffsets[result])
        states.append(PlanLoop.State(read: arguments[i], written: result))
      }
      let test = try plan(condition, arguments, [Planner.Destination(result: 0, slot: predicate)], arena)
      let work = try plan(
        body, arguments, zip(changing, results).map { Planner.Destination(result: $0, slot: $1) }, arena)
      action = .loop(PlanLoop(condition: test, predicate: predicate, body: work, states: states))
      scratch += [arena, predicate]
    }
    return PlanInstruction(
      action: action, operands: operands, results: results, scratch: scratch, origin: node.origin, isWide: node.isWide,
      isOnHost: node.isOnHost && planner.target.host != nil)
  }

  /// Plans a nested block, whose memory lies in the slot `arena` of this one.
  private func plan(
    _ function: GraphFunction, _ arguments: [Int], _ destinations: [Planner.Destination], _ arena: Int
  ) throws(Diagnostic) -> Int {
    guard function.arguments.count == arguments.count, destinations.allSatisfy({ $0.result < function.results.count })
    else {
      throw Diagnostic(
        "the function '\(function.name)' does not fit where it is used", required: "\(arguments.count) arguments",
        found: "\(function.arguments.count) arguments and \(function.results.count) results")
    }
    let group = planner.slotGroups[arena]
    let (block, size) = try planner.planBlock(
      function, arguments: arguments, destinations: destinations, arena: group)
    planner.grow(group: group, to: size)
    planner.grow(slot: arena, to: size)
    return block
  }
}
