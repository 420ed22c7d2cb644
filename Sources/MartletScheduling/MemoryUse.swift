import MartletGraph
import MartletTensors

/// The memory that a run of a plan takes and what it goes to: exact, and known before anything runs.
///
/// ```swift
/// let use = MemoryUse(try session.plan(for: [loss]))
/// print(use.peakBytes, use.values[0].name, use.values[0].origin.site)
/// ```
public struct MemoryUse: Sendable {
  /// An array, or memory that a step works in, while the most bytes are in use.
  public struct Value: Hashable, Sendable {
    /// The array's name in the graph; what it is for, if it is a step's own memory.
    public var name: String
    /// Nil for a step's own memory.
    public var type: TensorType?
    public var byteCount: Int
    /// What computes it.
    public var origin: PlanOrigin
  }

  /// Bytes of intermediate values, gaps between them included.
  public var arenaBytes: Int
  /// Bytes of the arrays that the run hands out.
  public var fetchedBytes: Int
  /// Bytes of what the run finds in memory: feeds, constants, and variables.
  public var feedBytes = 0
  public var constantBytes = 0
  public var variableBytes = 0
  /// The bytes of the arena that are in use at the busiest step.
  public private(set) var busiestBytes = 0
  /// The busiest step; nil where no step uses the arena.
  public private(set) var busiest: PlanOrigin?
  /// What is in the arena at the busiest step, and what is fetched; the largest first.
  public private(set) var values: [Value] = []

  /// The most bytes that a run holds beside feeds, constants and variables.
  public var peakBytes: Int { arenaBytes + fetchedBytes }

  public init(_ plan: ExecutionPlan) {
    arenaBytes = plan.arenaBytes
    fetchedBytes = plan.results.reduce(0) { $0 + plan.slots[$1.slot].byteCount }
    var seen: Set<PlanSlot.Place> = []
    for slot in plan.slots where slot.whole == nil && seen.insert(slot.place).inserted {
      switch slot.place {
      case .argument: feedBytes += slot.byteCount
      case .constant: constantBytes += slot.byteCount
      case .variable: variableBytes += slot.byteCount
      case .arena, .result: break
      }
    }
    var search = BusiestStep(plan)
    search.visit(block: 0, around: [])
    busiestBytes = search.byteCount
    busiest = search.origin.map { plan.origins[$0] }
    let origins = search.origins
    let slots = search.slots + plan.results.map(\.slot)
    values = slots.map { slot in
      Value(
        name: plan.slots[slot].name, type: plan.slots[slot].type, byteCount: plan.slots[slot].byteCount,
        origin: plan.origins[origins[slot] ?? 0])
    }
    values.sort { ($1.byteCount, $0.name) < ($0.byteCount, $1.name) }
  }
}

/// Walks through a plan's steps, nested ones included, and keeps the one at which the most bytes are in use.
private struct BusiestStep {
  let plan: ExecutionPlan
  private(set) var byteCount = 0
  private(set) var origin: Int?
  /// The slots in use, none inside another.
  private(set) var slots: [Int] = []
  /// For each slot the origin of the step that writes it first.
  private(set) var origins: [Int: Int] = [:]

  init(_ plan: ExecutionPlan) { self.plan = plan }

  /// - Parameter around: the slots that are in use while the block runs.
  mutating func visit(block: Int, around: [Int]) {
    let instructions = plan.blocks[block].instructions
    var last: [Int: Int] = [:]
    // What may run at the same time is in use together.
    var end = Array(instructions.indices)
    for group in plan.blocks[block].groups {
      let start = group.instructions.lowerBound
      for (i, last) in zip(group.instructions, GroupClocks(group).lastBeside) { end[i] = start + last }
    }
    for (i, instruction) in instructions.enumerated() {
      let used = instruction.operands.map { plan.slots[$0].whole ?? $0 } + instruction.results + instruction.scratch
      for slot in used { last[slot] = max(last[slot] ?? i, end[i]) }
    }
    var ending: [Int: [Int]] = [:]
    for (slot, i) in last { ending[i, default: []].append(slot) }
    var live = Set(around)
    var sum = around.reduce(0) { $0 + plan.slots[$1].byteCount }
    var begun: Set<Int> = []
    for (i, instruction) in instructions.enumerated() {
      let nested = blocks(of: instruction)
      // Nested blocks say themselves what they use of their part of the arena.
      let scratch = nested.isEmpty ? instruction.scratch : Array(instruction.scratch.dropFirst())
      for slot in instruction.results + scratch where isInArena(slot) && begun.insert(slot).inserted {
        live.insert(slot)
        sum += plan.slots[slot].byteCount
      }
      for slot in instruction.results + instruction.scratch where origins[slot] == nil {
        origins[slot] = instruction.origin
      }
      // In-place results and parts of joined values count twice in the sum, which only saves looking closer.
      if sum > byteCount { consider(live, instruction.origin) }
      for block in nested { visit(block: block, around: live.sorted()) }
      for slot in ending[i] ?? [] where begun.contains(slot) {
        live.remove(slot)
        sum -= plan.slots[slot].byteCount
      }
    }
  }

  private mutating func consider(_ live: Set<Int>, _ step: Int) {
    let outermost = live.sorted {
      (bytes(of: $0).lowerBound, -bytes(of: $0).count, -$0) < (bytes(of: $1).lowerBound, -bytes(of: $1).count, -$1)
    }
    var end = 0
    var count = 0
    var kept: [Int] = []
    for slot in outermost {
      let bytes = bytes(of: slot)
      guard bytes.upperBound > end else { continue }
      count += bytes.upperBound - max(bytes.lowerBound, end)
      end = bytes.upperBound
      kept.append(slot)
    }
    guard count > byteCount else { return }
    (byteCount, origin, slots) = (count, step, kept)
  }

  private func blocks(of instruction: PlanInstruction) -> [Int] {
    switch instruction.action {
    case .conditional(let then, let otherwise): [then, otherwise]
    case .loop(let loop): [loop.condition, loop.body]
    case .kernel, .library, .host, .copy, .join: []
    }
  }

  private func isInArena(_ slot: Int) -> Bool {
    if case .arena = plan.slots[slot].place { plan.slots[slot].byteCount > 0 } else { false }
  }

  private func bytes(of slot: Int) -> Range<Int> {
    guard case .arena(let offset) = plan.slots[slot].place else { return 0..<0 }
    return offset..<offset + plan.slots[slot].byteCount
  }
}
