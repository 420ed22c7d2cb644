import MartletGraph
import MartletLoopIR
import MartletScheduling

/// Turns a plan into work for a device and the host beside it.
struct DevicePlanner {
  private let plan: ExecutionPlan
  private let device: CUDADevice
  private var statusNumbers: [DevicePlan.InstructionPlace: Int] = [:]
  /// All that is used on each side.
  private var deviceRanges: [DeviceRange] = []
  private var hostRanges: [DeviceRange] = []
  private var stagingCount = 0
  private var joined: [[Int]] = []
  private var directFetches: [Int] = []

  static func plan(_ plan: ExecutionPlan, for device: CUDADevice) -> DevicePlan {
    var planner = DevicePlanner(plan, device)
    var roles = [BlockRole](repeating: .main, count: plan.blocks.count)
    for block in plan.blocks {
      for instruction in block.instructions {
        switch instruction.action {
        case .conditional(let then, let otherwise):
          for branch in [then, otherwise] { roles[branch] = .nested(results: instruction.results) }
        case .loop(let loop):
          roles[loop.condition] = .condition(loop.predicate)
          roles[loop.body] = .iteration(results: loop.states.map(\.written))
        case .kernel, .library, .host, .copy, .join: break
        }
      }
    }
    let blocks = plan.blocks.indices.map { planner.block($0, roles[$0]) }
    var constants: Set<Int> = []
    for range in planner.deviceRanges { if case .constant(let number) = range.space { constants.insert(number) } }
    // Constants and variables have device memory of their own, and the host has constants where they are.
    return DevicePlan(
      blocks: blocks, deviceMemory: RangeLayout(planner.deviceRanges.filter { !$0.isConstant && !$0.isVariable }),
      hostMemory: RangeLayout(planner.hostRanges.filter { !$0.isConstant }), statusNumbers: planner.statusNumbers,
      constants: constants.sorted(), joined: planner.joined,
      directFetches: planner.directFetches)
  }

  private init(_ plan: ExecutionPlan, _ device: CUDADevice) { (self.plan, self.device) = (plan, device) }

  /// What a block is for, which says where its values must be in the end.
  private enum BlockRole {
    case main
    case nested(results: [Int])
    /// Leaves a Boolean for the host.
    case condition(Int)
    case iteration(results: [Int])
  }

  private mutating func block(_ number: Int, _ role: BlockRole) -> DeviceBlock {
    let isNested = if case .main = role { false } else { true }
    var builder = DeviceBlockBuilder(
      plan, device, number: number, isNested: isNested, stagingCount: stagingCount, joined: joined)
    for (index, instruction) in plan.blocks[number].instructions.enumerated() {
      if case .kernel(let kernel) = instruction.action, !instruction.isOnHost, plan.kernels[kernel].canFail {
        statusNumbers[.init(block: number, index: index)] = statusNumbers.count + 1
      }
      builder.add(instruction, at: index)
    }
    switch role {
    case .main:
      for (number, port) in plan.results.enumerated() {
        let range = DeviceRange(plan.slots[port.slot])
        if range.bytes.count >= DevicePlan.leastDirectFetch, builder.isOnlyOnDevice(range) {
          directFetches.append(number)
        } else {
          builder.bring(range, toHost: true)
        }
      }
      for variable in plan.variables {
        if let slot = variable.result { builder.bring(DeviceRange(plan.slots[slot]), toHost: false) }
      }
    case .nested(let results), .iteration(let results):
      for slot in results { builder.bring(DeviceRange(plan.slots[slot]), toHost: false) }
    case .condition(let predicate): builder.bring(DeviceRange(plan.slots[predicate]), toHost: true)
    }
    builder.endSegment()
    deviceRanges += builder.deviceRanges
    hostRanges += builder.hostRanges
    stagingCount = builder.stagingCount
    joined = builder.joined
    return builder.block
  }
}

/// Writes one block's parts, and follows on which side each byte is up to date.
private struct DeviceBlockBuilder {
  let plan: ExecutionPlan
  private let device: CUDADevice
  /// The block's, in the plan.
  private let number: Int
  private let isNested: Bool
  private(set) var block = DeviceBlock()
  private(set) var deviceRanges: [DeviceRange] = []
  private(set) var hostRanges: [DeviceRange] = []
  private var segment = DeviceSegment()
  /// Whether the device does not have the present parameters; a block around does not say.
  private var hasNewParameters = true
  private var sides: [DeviceRange.Space: RangeMap<Sides>] = [:]

  /// Where bytes are up to date.
  private struct Sides {
    var host: Bool
    var device: Bool
  }

  /// How many copies of misaligned arrays there are.
  private(set) var stagingCount: Int
  /// The kernels of each launch of several.
  private(set) var joined: [[Int]]

  init(_ plan: ExecutionPlan, _ device: CUDADevice, number: Int, isNested: Bool, stagingCount: Int, joined: [[Int]]) {
    (self.plan, self.device, self.number, self.isNested) = (plan, device, number, isNested)
    (self.stagingCount, self.joined) = (stagingCount, joined)
  }

  /// Where the bytes of a space are before the block does anything.
  private func initialSides(_ space: DeviceRange.Space) -> Sides {
    switch space {
    case .constant: Sides(host: true, device: true)
    // What a block around has is brought to the device before a block in it runs.
    case .argument: Sides(host: !isNested, device: isNested)
    case .variable, .result, .arena, .staging: Sides(host: false, device: true)
    }
  }

  // MARK: Instructions

  mutating func add(_ instruction: PlanInstruction, at index: Int) {
    func ranges(_ slots: [Int]) -> [DeviceRange] { slots.map { DeviceRange(plan.slots[$0]) } }
    let (operands, results, scratch) = (
      ranges(instruction.operands), ranges(instruction.results), ranges(instruction.scratch)
    )
    switch instruction.action {
    case .conditional(let then, let otherwise):
      for operand in operands.dropFirst() { bring(operand, toHost: false) }
      bring(operands[0], toHost: true)
      endSegment()
      block.parts.append(.conditional(predicate: operands[0], then: then, otherwise: otherwise))
      // A loop in a branch has changed them.
      hasNewParameters = true
      wrote(results + scratch, onHost: false)
    case .loop(let loop):
      for operand in operands { bring(operand, toHost: false) }
      endSegment()
      block.parts.append(
        .loop(
          predicate: DeviceRange(plan.slots[loop.predicate]), condition: loop.condition, body: loop.body,
          count: LoopCountFinder.count(of: loop, at: index, in: number, of: plan)))
      wrote(results + scratch, onHost: false)
      // The run's own numbers hold again.
      hasNewParameters = true
    case .host:
      addHost(operands, results, scratch, at: index)
    case .kernel, .library:
      if instruction.isOnHost { return addHost(operands, results, scratch, at: index) }
      addDevice(instruction, operands, results, scratch, at: index)
    case .copy:
      addCopy(from: operands[0], to: results[0], at: index)
    case .join:
      var target = results[0].bytes.lowerBound
      for operand in operands {
        addCopy(from: operand, to: DeviceRange(results[0].space, target..<target + operand.bytes.count), at: index)
        target += operand.bytes.count
      }
    }
  }

  private mutating func addHost(
    _ operands: [DeviceRange], _ results: [DeviceRange], _ scratch: [DeviceRange], at index: Int
  ) {
    for operand in operands { bring(operand, toHost: true) }
    endSegment()
    block.parts.append(.host(index))
    wrote(results + scratch, onHost: true)
    hostRanges += operands + results + scratch
  }

  private mutating func addDevice(
    _ instruction: PlanInstruction, _ operands: [DeviceRange], _ results: [DeviceRange], _ scratch: [DeviceRange],
    at index: Int
  ) {
    endSegmentOfChecks(before: results)
    for operand in operands { bring(operand, toHost: false) }
    var step = DeviceStep(action: .library(0), instruction: index)
    var operations = 0
    if case .kernel(let kernel) = instruction.action {
      step.action = .kernel(kernel)
      operations = plan.kernels[kernel].program?.work ?? 0
      if plan.kernels[kernel].canFail { segment.checksIndices = true }
    } else if case .library(let contract) = instruction.action {
      step.action = .library(contract)
      operations = 2 * plan.contracts[contract].multiplicationCount
    }
    let isLibrary = if case .library = step.action { true } else { false }
    let staged = isLibrary ? stagedOperands(operands, at: index) : operands
    let targets = isLibrary ? results.map { staging($0) } : results
    step.slots = staged + targets + scratch
    step.reads = staged.map { .init(range: $0) }
    step.writes = (targets + scratch).map { .init(range: $0) }
    step.cost = DeviceCost.nanoseconds(
      operations: operations, bytes: (operands + results).reduce(0) { $0 + $1.bytes.count })
    append(step)
    wrote(results + scratch, onHost: false)
    deviceRanges += operands + results + scratch
    for (target, result) in zip(targets, results) where target != result {
      addCopy(from: target, to: result, at: index)
    }
  }

  // MARK: Alignment

  /// Libraries' operands, at multiples of 16 bytes: parts of arrays that begin elsewhere are copied.
  private mutating func stagedOperands(_ operands: [DeviceRange], at index: Int) -> [DeviceRange] {
    operands.map { operand in
      let target = staging(operand)
      if target != operand { addCopy(from: operand, to: target, at: index) }
      return target
    }
  }

  /// The range itself if it is aligned, or else memory for a copy.
  private mutating func staging(_ range: DeviceRange) -> DeviceRange {
    guard range.bytes.lowerBound % DeviceRange.libraryAlignment != 0 else { return range }
    let copy = DeviceRange(.staging(stagingCount), 0..<range.bytes.count)
    stagingCount += 1
    deviceRanges.append(copy)
    return copy
  }

  private mutating func addCopy(from source: DeviceRange, to target: DeviceRange, at index: Int) {
    guard source != target, !source.bytes.isEmpty else { return }
    endSegmentOfChecks(before: [target])
    bring(source, toHost: false)
    append(
      DeviceStep(
        action: .copy(from: source, to: target), instruction: index, reads: [.init(range: source)],
        writes: [.init(range: target)], cost: DeviceCost.nanoseconds(operations: 0, bytes: 2 * source.bytes.count)))
    wrote([target], onHost: false)
    deviceRanges += [source, target]
  }

  private mutating func append(_ step: DeviceStep) {
    if hasNewParameters, readsParameters(step) {
      segment.needsParameters = true
      hasNewParameters = false
    }
    segment.steps.append(step)
  }

  private func readsParameters(_ step: DeviceStep) -> Bool {
    guard case .kernel(let kernel) = step.action else { return false }
    return plan.kernels[kernel].program?.readsParameters ?? true
  }

  // MARK: Sides

  private mutating func wrote(_ ranges: [DeviceRange], onHost: Bool) {
    for range in ranges {
      sides[range.space, default: RangeMap()].set(range.bytes, to: Sides(host: onHost, device: !onHost))
    }
  }

  /// Whether all of a range is up to date on the device, and nothing of it on the host.
  mutating func isOnlyOnDevice(_ range: DeviceRange) -> Bool {
    var isOnDevice = true
    sides[range.space, default: RangeMap()].update(range.bytes, initial: initialSides(range.space)) { _, sides in
      isOnDevice = isOnDevice && sides.device && !sides.host
    }
    if isOnDevice { deviceRanges.append(range) }
    return isOnDevice
  }

  /// Copies what of a range is up to date only on the other side.
  mutating func bring(_ range: DeviceRange, toHost: Bool) {
    guard !range.bytes.isEmpty else { return }
    var missing: [Range<Int>] = []
    sides[range.space, default: RangeMap()].update(range.bytes, initial: initialSides(range.space)) { bytes, sides in
      guard !(toHost ? sides.host : sides.device) else { return }
      sides = Sides(host: true, device: true)
      if let last = missing.last, last.upperBound == bytes.lowerBound {
        missing[missing.count - 1] = last.lowerBound..<bytes.upperBound
      } else {
        missing.append(bytes)
      }
    }
    for bytes in missing {
      let part = DeviceRange(range.space, bytes)
      let (host, device) = (
        DeviceStep.Access(range: part, isOnHost: true), DeviceStep.Access(range: part)
      )
      append(
        DeviceStep(
          action: toHost ? .download(part) : .upload(part), instruction: nil, reads: [toHost ? device : host],
          writes: [toHost ? host : device], cost: DeviceCost.nanoseconds(transferred: bytes.count)))
      deviceRanges.append(part)
      hostRanges.append(part)
    }
    if toHost { hostRanges.append(range) } else { deviceRanges.append(range) }
  }

  /// A run that fails leaves variables as they were: the host looks for bad indices before variables are written. The plan
  /// has put whatever may fail before that.
  private mutating func endSegmentOfChecks(before results: [DeviceRange]) {
    if segment.checksIndices, results.contains(where: \.isVariable) { endSegment() }
  }

  mutating func endSegment() {
    guard !segment.steps.isEmpty else { return }
    segment.steps = LaunchJoining.join(segment.steps, of: plan, for: device, joined: &joined)
    StreamAssignment.assign(&segment)
    block.parts.append(.segment(segment))
    segment = DeviceSegment()
  }
}

/// Rough times of a large device of today, to decide what is worth a stream of its own.
enum DeviceCost {
  /// Of a step's start.
  static let start = 2000
  /// Of a step on the device: its start, then whatever takes longer of 2 TB/s of memory traffic and 30 TFLOP/s.
  static func nanoseconds(operations: Int, bytes: Int) -> Int { start + max(bytes / 2000, operations / 30_000) }
  /// Of a copy between host and device, at 25 GB/s.
  static func nanoseconds(transferred bytes: Int) -> Int { 5000 + bytes / 25 }
}
