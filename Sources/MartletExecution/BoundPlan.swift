import MartletDiagnostics
import MartletGraph
import MartletScheduling
import MartletTensors
import Synchronization

/// A plan with its code on the processor: instructions as flat records with function pointers. Each run takes an
/// instance.
public final class BoundPlan: RunnablePlan, @unchecked Sendable {
  public let plan: ExecutionPlan
  public let backend: any HostBackend
  /// What binding took.
  public let report: BindingReport

  /// The instructions of all blocks, and each block's range of them. Nothing changes after `init`.
  let records: UnsafeMutablePointer<InstructionRecord>
  let blocks: UnsafeMutablePointer<BlockRange>
  /// The records that each worker of each group carries out.
  let groups: UnsafeMutablePointer<GroupShares>
  let recordCount: Int
  private let groupCount: Int
  /// For each record the instruction that it runs.
  let instructions: [PlanInstruction]
  /// What each entry of an instance's pointer table points to; nil for what is not read.
  let pointers: [PlanAddress?]
  let isWide: Bool
  /// The plan's constants, each aligned; nil for those that are read in other layouts only.
  let constants: [Tensor?]
  /// Keeps code and data alive.
  private let owners: [AnyObject]
  private let idle = Mutex(Idle())

  private struct Idle {
    var instances: [PlanInstance] = []
    var isKept = true
  }

  /// Resolves a plan's kernels, library contracts and host code.
  ///
  /// - Throws: what the back end cannot compile or its libraries cannot do.
  public init(_ plan: ExecutionPlan, backend: any HostBackend) throws {
    self.plan = plan
    self.backend = backend
    isWide = plan.isWide
    var report = BindingReport()
    var start = ContinuousClock.now
    let kernels = try backend.bind(
      plan.kernels, before: plan.contracts, for: plan.use, report: &report)
    report.codeSeconds = ContinuousClock.seconds(since: start)
    start = ContinuousClock.now
    let hosts = try plan.hostCalls.map { call throws(Diagnostic) in try HostExecution(call).call }
    var builder = RecordBuilder(plan, backend, kernels: kernels, hosts: hosts)
    // Libraries give up the arrays that they lay out: not those that are read as they are.
    let readConstants = plan.constantsReadInPlace.map { plan.constants[$0].tensor }
    for block in plan.blocks { try builder.add(block) }
    withExtendedLifetime(readConstants) {}
    report.librarySeconds = ContinuousClock.seconds(since: start)
    self.report = report
    owners = (kernels + hosts).compactMap(\.owner) + builder.owners
    instructions = builder.instructions
    pointers = builder.pointers
    var isRead = [Bool](repeating: false, count: plan.constants.count)
    for case .constant(let number)? in pointers.lazy.map({ $0?.place }) { isRead[number] = true }
    constants = zip(plan.constants, isRead).map { $1 ? $0.tensor.aligned : nil }
    recordCount = builder.records.count
    records = .allocate(capacity: max(recordCount, 1))
    records.initialize(from: builder.records, count: recordCount)
    blocks = .allocate(capacity: max(builder.blocks.count, 1))
    blocks.initialize(from: builder.blocks, count: builder.blocks.count)
    groups = .allocate(capacity: max(builder.groups.count, 1))
    for (i, group) in builder.groups.enumerated() {
      (groups + i).initialize(to: GroupShares(group.group, firstRecord: group.firstRecord))
    }
    groupCount = builder.groups.count
  }

  deinit {
    records.deallocate()
    blocks.deallocate()
    for i in 0..<groupCount { groups[i].deallocate() }
    groups.deallocate()
  }

  /// An instance that nobody uses, or a new one.
  func takeInstance() -> PlanInstance { idle.withLock { $0.instances.popLast() } ?? PlanInstance(self) }
  func giveBack(_ instance: PlanInstance) { idle.withLock { if $0.isKept { $0.instances.append(instance) } } }

  public func keepIdleMemory(_ isKept: Bool) {
    idle.withLock {
      $0.isKept = isKept
      if !isKept { $0.instances.removeAll() }
    }
  }

  /// Memory that idle instances hold.
  public var idleInstanceCount: Int { idle.withLock { $0.instances.count } }
}

extension ExecutionPlan {
  /// The constants that something else than a library call reads.
  fileprivate var constantsReadInPlace: [Int] {
    var isRead = [Bool](repeating: false, count: constants.count)
    for instruction in blocks.lazy.flatMap(\.instructions) {
      if case .library = instruction.action { continue }
      for operand in instruction.operands {
        if case .constant(let number) = slots[operand].place { isRead[number] = true }
      }
    }
    return isRead.indices.filter { isRead[$0] }
  }
}

/// Where a slot, or a stretch of one, begins.
struct PlanAddress: Equatable {
  var place: PlanSlot.Place
  /// Bytes behind the beginning of the place.
  var offset: Int

  init(_ slot: PlanSlot, offset: Int = 0) {
    if case .arena(let begin) = slot.place {
      (place, self.offset) = (.arena(begin + offset), 0)
    } else {
      (place, self.offset) = (slot.place, slot.offset + offset)
    }
  }
}

/// One step, ready to run: no references, so that going from one to the next costs a call and nothing else.
struct InstructionRecord {
  enum Kind: UInt8 {
    case call
    /// `first` if the Boolean at the first pointer is true, else `second`.
    case conditional
    /// `second` while `first` leaves true at the first pointer.
    case loop
    /// The group `first`, whose records follow; the block goes on at `second`.
    case group
  }
  var kind: Kind
  /// Into the instance's pointer table: operands, results, scratch memory.
  var firstPointer: Int
  var function: CallFunction
  var data: UnsafeMutableRawPointer?
  /// Blocks.
  var first: Int = 0
  var second: Int = 0
}

/// A block's records.
struct BlockRange {
  var start: Int
  var end: Int
}

/// Writes a plan's instructions as records.
private struct RecordBuilder {
  let plan: ExecutionPlan
  let backend: any HostBackend
  let kernels: [BoundCall]
  let hosts: [BoundCall]
  /// Of library calls.
  var owners: [AnyObject] = []
  var records: [InstructionRecord] = []
  var instructions: [PlanInstruction] = []
  var pointers: [PlanAddress?] = []
  var blocks: [BlockRange] = []
  var groups: [(group: PlanGroup, firstRecord: Int)] = []

  init(_ plan: ExecutionPlan, _ backend: any HostBackend, kernels: [BoundCall], hosts: [BoundCall]) {
    (self.plan, self.backend, self.kernels, self.hosts) = (plan, backend, kernels, hosts)
  }

  mutating func add(_ block: PlanBlock) throws {
    let start = records.count
    var next = 0
    for group in block.groups {
      for instruction in block.instructions[next..<group.instructions.lowerBound] { try add(instruction) }
      try add(group, of: block)
      next = group.instructions.upperBound
    }
    for instruction in block.instructions[next...] { try add(instruction) }
    blocks.append(BlockRange(start: start, end: records.count))
  }

  private mutating func add(_ group: PlanGroup, of block: PlanBlock) throws {
    let header = records.count
    append(BoundCall(doNothing), [], block.instructions[group.instructions.lowerBound], .group, first: groups.count)
    for i in group.instructions { try add(block.instructions[i]) }
    precondition(records.count - header - 1 == group.workers.count, "an instruction of a group is not one call")
    records[header].second = records.count
    groups.append((group, header + 1))
  }

  private mutating func add(_ instruction: PlanInstruction) throws {
    let all = instruction.operands + instruction.results + instruction.scratch
    switch instruction.action {
    case .kernel(let kernel): append(kernels[kernel], all, instruction)
    case .library(let contract):
      let call = try backend.bind(plan.contracts[contract], constants: constants(among: instruction.operands))
      if let owner = call.owner { owners.append(owner) }
      append(call, all, instruction)
    case .host(let call): append(hosts[call], all, instruction)
    case .copy:
      appendCopy(of: instruction.operands[0], to: instruction.results[0], offset: 0, instruction)
    case .join:
      var offset = 0
      for operand in instruction.operands {
        appendCopy(of: operand, to: instruction.results[0], offset: offset, instruction)
        offset += plan.slots[operand].byteCount
      }
    case .conditional(let then, let otherwise):
      append(
        BoundCall(doNothing), [instruction.operands[0]], instruction, .conditional, first: then, second: otherwise)
    case .loop(let loop):
      append(BoundCall(doNothing), [loop.predicate], instruction, .loop, first: loop.condition, second: loop.body)
    }
  }

  /// The operands that are constants, by their place.
  private func constants(among operands: [Int]) -> [Int: Constant] {
    var found: [Int: Constant] = [:]
    for (i, operand) in operands.enumerated() {
      let slot = plan.slots[operand]
      if case .constant(let number) = slot.place, slot.whole == nil { found[i] = plan.constants[number] }
    }
    return found
  }

  /// Copies a slot to a place within another, if it does not lie there already.
  private mutating func appendCopy(of source: Int, to target: Int, offset: Int, _ instruction: PlanInstruction) {
    let byteCount = plan.slots[source].byteCount
    let (begin, end) = (PlanAddress(plan.slots[source]), PlanAddress(plan.slots[target], offset: offset))
    guard begin != end, byteCount > 0 else { return }
    let call = BoundCall(copyBytes, data: UnsafeMutableRawPointer(bitPattern: byteCount))
    append(call, [], instruction)
    pointers += [begin, end]
  }

  private mutating func append(
    _ call: BoundCall, _ slots: [Int], _ instruction: PlanInstruction, _ kind: InstructionRecord.Kind = .call,
    first: Int = 0, second: Int = 0
  ) {
    records.append(
      InstructionRecord(
        kind: kind, firstPointer: pointers.count, function: call.function, data: call.data, first: first,
        second: second))
    instructions.append(instruction)
    for (i, slot) in slots.enumerated() {
      pointers.append(call.unread.contains(i) ? nil : PlanAddress(plan.slots[slot]))
    }
  }
}

private let copyBytes: CallFunction = { _, slots, data in
  guard let source = slots[0], let target = slots[1] else { return 1 }
  target.update(from: source, count: Int(bitPattern: data))
  return 0
}

private let doNothing: CallFunction = { _, _, _ in 0 }
