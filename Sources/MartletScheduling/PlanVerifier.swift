import MartletGraph
import MartletLoopIR

/// Checks a plan's use of memory by walking through its instructions and keeping note of which slots hold their value.
///
/// It shares nothing with the planner but the plan: a read of a slot whose bytes another slot was written to since is
/// found whatever led to it.
public struct PlanVerifier {
  private let plan: ExecutionPlan
  private var violations: [String] = []
  /// For each slot those whose bytes it shares, itself left out.
  private var overlaps: [[Int]]
  private var isValid: [Bool]
  private var depth = 0

  /// What is wrong with the plan; empty if nothing is.
  public static func violations(of plan: ExecutionPlan) -> [String] {
    var verifier = PlanVerifier(plan)
    verifier.verify()
    return verifier.violations
  }

  private init(_ plan: ExecutionPlan) {
    self.plan = plan
    isValid = Array(repeating: false, count: plan.slots.count)
    overlaps = Array(repeating: [], count: plan.slots.count)
    for i in plan.slots.indices {
      for j in plan.slots.indices where i != j && Self.overlap(plan.slots[i], plan.slots[j]) { overlaps[i].append(j) }
    }
  }

  private static func overlap(_ a: PlanSlot, _ b: PlanSlot) -> Bool {
    guard a.byteCount > 0, b.byteCount > 0 else { return false }
    if case .arena(let x) = a.place, case .arena(let y) = b.place {
      return x < y + b.byteCount && y < x + a.byteCount
    }
    return a.place == b.place && a.offset < b.offset + b.byteCount && b.offset < a.offset + a.byteCount
  }

  /// Whether a slot holds its value: itself, or what it is a part of.
  private func holdsValue(_ slot: Int) -> Bool { isValid[plan.slots[slot].whole ?? slot] }

  private mutating func verify() {
    for (i, slot) in plan.slots.enumerated() {
      switch slot.place {
      case .arena(let offset):
        if offset % 64 != 0 { violations.append("%\(i) begins at byte \(offset), which is not aligned") }
        if offset + slot.byteCount > plan.arenaBytes { violations.append("%\(i) ends behind the arena") }
      case .argument, .constant: isValid[i] = true
      case .result, .variable: break
      }
    }
    for variable in plan.variables { if let argument = variable.argument { isValid[argument] = true } }
    verify(block: 0, writable: [])
    for port in plan.results where !isValid[port.slot] {
      violations.append("the result '\(port.name)', %\(port.slot), does not hold its value at the end")
    }
    for variable in plan.variables {
      if let result = variable.result, !isValid[result] {
        violations.append("the variable '\(variable.name)', %\(result), does not hold its value at the end")
      }
    }
  }

  /// Walks a block; a nested one may write only to the given slots or within them.
  private mutating func verify(block: Int, writable: [Int]) {
    guard depth <= 64 else {
      violations.append("blocks are nested in a circle")
      return
    }
    depth += 1
    defer { depth -= 1 }
    for group in plan.blocks[block].groups { checkWorkers(of: group, in: block) }
    for (i, instruction) in plan.blocks[block].instructions.enumerated() {
      let place = "block \(block) [\(i)]"
      for operand in instruction.operands where !holdsValue(operand) {
        violations.append("\(place) reads %\(operand) '\(plan.slots[operand].name)', which does not hold its value")
      }
      checkOverlaps(instruction, place)
      for slot in instruction.results + instruction.scratch {
        if depth > 1, !isWithin(slot, writable) {
          violations.append("\(place) writes %\(slot) outside what the block may write")
        }
      }
      for slot in instruction.scratch { write(slot) }
      switch instruction.action {
      case .kernel, .library, .host, .copy: for result in instruction.results { write(result) }
      case .join:
        write(instruction.results[0])
        for (position, operand) in instruction.operands.enumerated()
        where isInPlace(instruction, position) { isValid[operand] = true }
      case .conditional(let then, let otherwise):
        let before = isValid
        verify(block: then, writable: instruction.results + instruction.scratch)
        let afterThen = isValid
        isValid = before
        verify(block: otherwise, writable: instruction.results + instruction.scratch)
        for slot in isValid.indices { isValid[slot] = isValid[slot] && afterThen[slot] }
      case .loop(let loop): verify(loop, instruction, place)
      }
      for result in instruction.results where !isValid[result] {
        violations.append("\(place) leaves its result %\(result) without its value")
      }
    }
  }

  /// Two iterations, so that what one leaves behind is seen by the next.
  private mutating func verify(_ loop: PlanLoop, _ instruction: PlanInstruction, _ place: String) {
    let writable = instruction.results + instruction.scratch
    for state in loop.states where !overlaps[state.written].contains(state.read) {
      if plan.slots[state.read].byteCount > 0 {
        violations.append("\(place) reads its state %\(state.read) elsewhere than it is written, %\(state.written)")
      }
    }
    var afterNone: [Bool]?
    for iteration in 0..<3 {
      for state in loop.states {
        isValid[state.read] = isValid[state.written]
        // Both name the same bytes; the body writes the one and may not read the other after that.
      }
      verify(block: loop.condition, writable: writable)
      if !isValid[loop.predicate] { violations.append("\(place) has no value for its condition") }
      if afterNone == nil { afterNone = isValid }
      guard iteration < 2 else { break }
      verify(block: loop.body, writable: writable)
    }
    if let afterNone { for slot in isValid.indices { isValid[slot] = isValid[slot] && afterNone[slot] } }
  }

  /// What one worker of a group writes another touches only before or after, whatever their speed.
  private mutating func checkWorkers(of group: PlanGroup, in block: Int) {
    let instructions = Array(plan.blocks[block].instructions[group.instructions])
    guard group.workers.count == instructions.count else {
      violations.append("block \(block) has a group of \(instructions.count) with \(group.workers.count) workers")
      return
    }
    checkWaits(of: group, in: block)
    let before = Self.instructionsBefore(group)
    var touchers: [Int: [Int]] = [:]
    for (i, instruction) in instructions.enumerated() {
      for slot in instruction.operands + instruction.results + instruction.scratch {
        if touchers[slot]?.last != i { touchers[slot, default: []].append(i) }
      }
    }
    for (i, instruction) in instructions.enumerated() {
      for slot in instruction.results + instruction.scratch {
        for other in [slot] + overlaps[slot] {
          for j in touchers[other] ?? [] where i != j && group.workers[i] != group.workers[j] {
            guard !before[j].contains(i), !before[i].contains(j) else { continue }
            violations.append(
              "block \(block): %\(slot) is written by worker \(group.workers[i]) while another uses %\(other)")
          }
        }
      }
    }
  }

  /// For each instruction of a group those that are over when it begins, by their places in the group.
  private static func instructionsBefore(_ group: PlanGroup) -> [Set<Int>] {
    var before: [Set<Int>] = []
    var shares = [[Int]](repeating: [], count: (group.workers.max() ?? 0) + 1)
    for (i, worker) in group.workers.enumerated() {
      var direct = shares[worker].suffix(1).map { $0 }
      for wait in group.waits where wait.instruction == i && shares.indices.contains(wait.worker) {
        if shares[wait.worker].indices.contains(wait.count - 1) { direct.append(shares[wait.worker][wait.count - 1]) }
      }
      before.append(direct.reduce(into: Set(direct)) { $0.formUnion(before[$1]) })
      shares[worker].append(i)
    }
    return before
  }

  /// A wait is for something that comes before; otherwise workers would wait for each other for ever.
  private mutating func checkWaits(of group: PlanGroup, in block: Int) {
    var carriedOut = [Int](repeating: 0, count: (group.workers.max() ?? 0) + 1)
    var next = group.waits.startIndex
    for (i, worker) in group.workers.enumerated() {
      while next < group.waits.endIndex, group.waits[next].instruction == i {
        let wait = group.waits[next]
        if !carriedOut.indices.contains(wait.worker) || !(0...carriedOut[wait.worker]).contains(wait.count) {
          violations.append(
            "block \(block) [\(group.instructions.lowerBound + i)] waits for what worker \(wait.worker) does later")
        }
        next += 1
      }
      carriedOut[worker] += 1
    }
    if next < group.waits.endIndex { violations.append("block \(block) has waits that are not in order") }
  }

  private mutating func write(_ slot: Int) {
    for other in overlaps[slot] { isValid[other] = false }
    isValid[slot] = true
  }

  private func isWithin(_ slot: Int, _ allowed: [Int]) -> Bool {
    let inner = plan.slots[slot]
    return inner.byteCount == 0
      || allowed.contains { outer in
        if case .arena(let x) = inner.place, case .arena(let y) = plan.slots[outer].place {
          return y <= x && x + inner.byteCount <= y + plan.slots[outer].byteCount
        }
        let outer = plan.slots[outer]
        return outer.place == inner.place && outer.offset <= inner.offset
          && inner.offset + inner.byteCount <= outer.offset + outer.byteCount
      }
  }

  /// Whether an operand of a join lies where it is to be.
  private func isInPlace(_ join: PlanInstruction, _ position: Int) -> Bool {
    let before = join.operands[..<position].reduce(0) { $0 + plan.slots[$1].byteCount }
    let (part, whole) = (plan.slots[join.operands[position]], plan.slots[join.results[0]])
    if case (.arena(let x), .arena(let y)) = (part.place, whole.place) { return x == y + before }
    return part.place == whole.place && part.offset == whole.offset + before
  }

  /// What an instruction writes is apart from everything else that it uses, except where it works in place.
  private mutating func checkOverlaps(_ instruction: PlanInstruction, _ place: String) {
    let written = instruction.results + instruction.scratch
    for (i, a) in written.enumerated() {
      for b in written[..<i] where a == b || overlaps[a].contains(b) {
        violations.append("\(place) writes %\(a) and %\(b), which share memory")
      }
    }
    for (position, operand) in instruction.operands.enumerated() {
      for scratch in instruction.scratch where overlaps[scratch].contains(operand) {
        violations.append("\(place) has scratch memory %\(scratch) over its operand %\(operand)")
      }
      for (output, result) in instruction.results.enumerated() {
        guard result == operand || overlaps[result].contains(operand) else { continue }
        if !mayShare(instruction, position: position, output: output) {
          violations.append("\(place) writes its result %\(result) over its operand %\(operand)")
        }
      }
    }
  }

  private func mayShare(_ instruction: PlanInstruction, position: Int, output: Int) -> Bool {
    let (operand, result) = (plan.slots[instruction.operands[position]], plan.slots[instruction.results[output]])
    if case .join = instruction.action {
      return instruction.operands.indices.contains {
        instruction.operands[$0] == instruction.operands[position] && isInPlace(instruction, $0)
      }
    }
    guard operand.place == result.place, operand.offset == result.offset, operand.byteCount == result.byteCount else {
      return false
    }
    switch instruction.action {
    case .kernel(let number):
      return plan.kernels[number].code.inPlaceCandidates(output: output).contains(position)
    case .copy, .conditional: return true
    case .loop(let loop): return loop.states.contains { $0.written == instruction.operands[position] }
    case .library(let contract): return output == 0 && plan.contracts[contract].inPlaceOperand == position
    case .host, .join: return false
    }
  }
}
