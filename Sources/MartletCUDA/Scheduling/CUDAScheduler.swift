import MartletLoopIR
import MartletTensors

extension CUDASchedule {
  /// The schedule that fixed estimates choose for a program, whose outputs must be stages.
  ///
  /// - Parameter isDeterministic: Whether results must have the same bits in every run, whatever it costs.
  static func `default`(for program: StageProgram, isDeterministic: Bool = true) -> CUDASchedule {
    let splits = CUDAScheduler(program).splits()
    var scheduler = CUDAScheduler(program.splitting(splits))
    scheduler.isDeterministic = isDeterministic
    return CUDASchedule(splits: splits, groups: scheduler.groups())
  }
}

/// Chooses how a program runs on a GPU.
struct CUDAScheduler {
  /// Blocks that keep any device busy, which splits aim at.
  static let wantedBlocks = 256
  /// Blocks below which it is worth another launch to have more of them.
  static let fewBlocks = 64
  /// Elements of a stage below which another launch costs more than idle blocks do.
  static let smallWork = 1 << 15
  /// Elements of a reduction for each of its parts.
  static let partLength = 2048
  static let tile = 32
  /// Elements of a scan's line below which a thread goes along it.
  static let shortLine = 64
  /// Lines that are read side by side, a thread for each, and keep the device busy so.
  static let manyLines = 4096
  /// Elements of a line that are worth a block, and two launches instead of one.
  static let chunkLength = 8192
  /// What of a block's shared memory is kept for merging states.
  static let exchangeBytes = 16 << 10
  /// Groups in one launch, whose arrays are its arguments.
  static let mostJoined = 256

  let program: StageProgram
  let accesses: StageAccesses
  var isDeterministic = true

  init(_ program: StageProgram) {
    self.program = program
    accesses = StageAccesses(program)
  }

  // MARK: Splits

  func splits() -> [Schedule.Split] {
    var splits: [Schedule.Split] = []
    for (number, stage) in program.stages.enumerated() {
      guard case .reduce(let reduction) = stage.kind, accesses.loads(reduction.initial + reduction.merge).isEmpty else {
        continue
      }
      let results = stage.result.elementCount
      let length = reduction.extents.reduce(1, multipliedSaturating)
      let isAlongShared = isAlongShared([stage], shared: stage.extents.count)
      let blocks = isAlongShared ? (results + Self.tile - 1) / Self.tile : results
      guard results > 0, length >= 2 * Self.partLength / (isAlongShared ? 8 : 1), blocks < Self.fewBlocks else {
        continue
      }
      let wanted = min(Self.wantedBlocks / blocks, length / (Self.partLength / (isAlongShared ? 8 : 1)))
      if let split = Schedule.Split(stage: number, extents: reduction.extents, wanted: wanted) { splits.append(split) }
    }
    return splits
  }

  // MARK: Groups

  func groups() -> [CUDASchedule.Group] {
    var groups: [(stages: Range<Int>, shared: Int)] = []
    for (number, stage) in program.stages.enumerated() {
      if let last = groups.last, let shared = sharedAxes(last, number) {
        groups[groups.count - 1] = (last.stages.lowerBound..<number + 1, shared)
      } else {
        groups.append((number..<number + 1, stage.extents.count))
      }
    }
    return joined(
      groups.map { CUDASchedule.Group(stages: $0.stages, shape: shape($0.stages, shared: $0.shared)) })
  }

  /// Puts neighbouring groups of elements that do not need each other into one launch.
  private func joined(_ groups: [CUDASchedule.Group]) -> [CUDASchedule.Group] {
    var result: [CUDASchedule.Group] = []
    var first = 0
    for group in groups {
      var group = group
      let launch = result[first...]
      let isFree = group.stages.allSatisfy { reader in
        accesses.loads(program.stages[reader].roots).allSatisfy { load in
          guard case .stage(let source) = Source(payload: program.scalars[load].payload) else { return true }
          return !launch.contains { $0.stages.contains(source) }
        }
      }
      group.joinsLaunch =
        !launch.isEmpty && launch.count < Self.mostJoined && isFree
        && (launch + [group]).allSatisfy { if case .elements = $0.shape { true } else { false } }
      if !group.joinsLaunch { first = result.count }
      result.append(group)
    }
    return result
  }

  private func isMap(_ number: Int) -> Bool {
    if case .map = program.stages[number].kind { true } else { false }
  }

  /// The number of leading axes over which a group and the stage after it can run together, or nil.
  private func sharedAxes(_ group: (stages: Range<Int>, shared: Int), _ number: Int) -> Int? {
    let stage = program.stages[number]
    let first = program.stages[group.stages.lowerBound]
    switch (stage.kind, first.kind) {
    case (.scan, _), (.scatter, _), (_, .scan), (_, .scatter): return nil
    default: break
    }
    let together = group.stages.lowerBound..<number + 1
    let isMaps = together.allSatisfy(isMap)
    if isMaps { return StageUnit.units(of: together, accesses).count == 1 ? group.shared : nil }
    var shared = zip(first.extents.prefix(group.shared), stage.extents).prefix { $0 == $1 }.count
    var isConnected = false
    for load in accesses.loads(stage.roots) {
      guard case .stage(let source) = Source(payload: program.scalars[load].payload), group.stages.contains(source)
      else { continue }
      isConnected = true
      shared = min(shared, accesses.identicalIndices(of: load, in: Array(stage.extents.prefix(shared))))
    }
    let last = program.stages[number - 1]
    let isSibling = accesses.domain(of: last) == accesses.domain(of: stage) && last.extents == stage.extents
    guard isConnected || (isSibling && shared == group.shared) else { return nil }
    guard exchangeBytes(together, shared: shared) <= Self.exchangeBytes else { return nil }
    let rows = first.extents.prefix(shared).reduce(1, *)
    let most = together.map { accesses.domain(of: program.stages[$0]).reduce(1, multipliedSaturating) }.max() ?? 0
    let isNoLoss =
      rows == first.extents.prefix(group.shared).reduce(1, *) && rows == stage.extents.reduce(1, *)
    return rows >= Self.fewBlocks || most <= Self.smallWork || isNoLoss ? shared : nil
  }

  /// The shared memory through which the parts of a team merge the states of the group's last reductions.
  private func exchangeBytes(_ group: Range<Int>, shared: Int) -> Int {
    let reductions = group.reversed().prefix { !isMap($0) }.map { program.stages[$0] }
    let states = reductions.reduce(0) { bytes, stage in
      guard case .reduce(let reduction) = stage.kind else { return bytes }
      return bytes + reduction.initial.reduce(0) { $0 + program.scalars[$1].type.byteWidth }
    }
    return states * (isAlongShared(reductions, shared: shared) ? 256 : 1024 / CUDADevice.warp)
  }

  // MARK: Shapes

  private func shape(_ stages: Range<Int>, shared: Int) -> CUDASchedule.Shape {
    switch program.stages[stages.lowerBound].kind {
    case .scan(let scan): return lines(scan, program.stages[stages.lowerBound])
    case .scatter(let scatter): return owners(scatter, program.stages[stages.lowerBound])
    default: break
    }
    let all = stages.map { program.stages[$0] }
    if stages.allSatisfy(isMap) {
      return stages.count == 1 ? tiles(all[0]) ?? .elements(lanes: lanes(all)) : .elements(lanes: lanes(all))
    }
    let rows = all[0].extents.prefix(shared).reduce(1, *)
    let length = all.map { accesses.domain(of: $0).dropFirst(shared).reduce(1, multipliedSaturating) }.max() ?? 1
    if isAlongShared(all, shared: shared) {
      let width = min(Self.tile, powerOfTwo(atLeast: rows))
      return .team(shared: shared, width: width, threads: max(width, min(256, width * powerOfTwo(atLeast: length))))
    }
    if let rows = rowShape(stages, shared: shared, rows: rows) { return rows }
    var threads = min(CUDADevice.warp, max(4, powerOfTwo(atLeast: (length + 3) / 4)))
    if length > 1024 || (length > 256 && rows < Self.wantedBlocks) {
      threads = min(512, max(128, powerOfTwo(atLeast: (length + 7) / 8)))
    }
    return .team(shared: shared, width: 1, threads: threads)
  }

  /// Whether more loads of reductions go from element to element along the last shared axis than along an axis beyond.
  func isAlongShared(_ stages: [Stage], shared: Int) -> Bool {
    var votes = 0
    for stage in stages {
      guard case .reduce = stage.kind else { continue }
      let domain = accesses.domain(of: stage)
      guard let outer = domain.prefix(shared).lastIndex(where: { $0 > 1 }) else { continue }
      for load in accesses.loads(accesses.body(of: stage)) {
        let offset = accesses.offset(of: load)
        let inner = domain.indices.dropFirst(shared).filter { domain[$0] > 1 }
        if inner.contains(where: { accesses.stride(of: offset, along: $0)?.magnitude == 1 }) { votes -= 1 }
        if accesses.stride(of: offset, along: outer)?.magnitude == 1 { votes += 1 }
      }
    }
    return votes > 0
  }

  /// As many elements as fill 16 bytes, if rows of elements can be cut so.
  private func lanes(_ stages: [Stage]) -> Int {
    let roots = stages.flatMap { $0.roots }
    let loaded = accesses.loads(roots).map { program.scalars[$0].type.byteWidth }
    let widest = (stages.map { $0.result.elementType.byteWidth } + loaded).max() ?? 4
    let extents = stages[0].extents
    let runs = accesses.collapsedShared(extents.count, of: stages)
    let last = runs.last { extents[$0].reduce(1, *) > 1 }.map { extents[$0].reduce(1, *) } ?? 1
    let isFlat = runs.filter { extents[$0].reduce(1, *) > 1 }.count <= 1
    var lanes = 16 / widest
    while lanes > 1, last % lanes != 0, !isFlat || last < Self.smallWork { lanes /= 2 }
    return extents.reduce(1, *) < Self.smallWork ? 1 : lanes
  }

  /// Tiles for a map that reads along another axis than it writes, both of them long.
  private func tiles(_ stage: Stage) -> CUDASchedule.Shape? {
    let extents = stage.extents
    guard stage.result.elementCount >= Self.smallWork, let last = extents.lastIndex(where: { $0 > 1 }),
      extents[last] >= Self.tile / 2
    else { return nil }
    let offsets = accesses.loads(stage.roots).map { accesses.offset(of: $0) }
    return (0..<last).reversed().first { axis in
      extents[axis] >= Self.tile / 2
        && offsets.contains {
          accesses.stride(of: $0, along: axis) == 1 && (accesses.stride(of: $0, along: last)?.magnitude ?? 0) > 8
        }
    }.map { .tiles(axis: $0, size: Self.tile) }
  }

  private func lines(_ scan: Scan, _ stage: Stage) -> CUDASchedule.Shape {
    let length = stage.extents[scan.axis]
    let count = stage.result.elementCount / max(1, length)
    let isInner = stage.extents[(scan.axis + 1)...].allSatisfy { $0 == 1 }
    guard length >= Self.shortLine, count > 0, scan.combination(program.scalars) != nil,
      isInner || count < Self.manyLines
    else { return .lines }
    let most = isInner ? 16 / stage.result.elementType.byteWidth : 1
    let lanes = length % most == 0 ? most : 1
    if length <= 8 * CUDADevice.warp * lanes, count >= Self.wantedBlocks {
      return .scan(threads: CUDADevice.warp, lanes: lanes, chunks: 1)
    }
    let chunks = count < Self.fewBlocks ? min(Self.wantedBlocks / count, length / Self.chunkLength) : 1
    return .scan(threads: KernelEmitter.threads, lanes: lanes, chunks: max(1, chunks))
  }

  private func owners(_ scatter: Scatter, _ stage: Stage) -> CUDASchedule.Shape {
    // Integers are the same in whatever order they are combined.
    if scatter.atomic(stage, program.scalars) != nil, !isDeterministic || !stage.result.elementType.isFloatingPoint {
      return .atomics
    }
    let width = scatter.passing(stage, program.scalars).reduce(1, *)
    let columns = min(256, powerOfTwo(atLeast: max(1, width)))
    let tiles = (width + columns - 1) / columns
    let rows = stage.result.elementCount / max(1, width)
    let ranges = min(max(1, Self.wantedBlocks / max(1, tiles)), max(1, (rows * columns + 255) / 256))
    return .owners(ranges: ranges, width: columns)
  }
}

extension ScalarArena {
  /// What an operation on a state and something else combines the state with; nil where that depends on the state too.
  fileprivate func update(by row: ScalarRow) -> ScalarID? {
    func isState(_ id: ScalarID) -> Bool { self[id].operation == .state }
    for (state, update) in [(0, 1), (1, 0)] where isState(row.operand(state)) {
      let update = row.operand(update)
      if !reachable(from: [update]).contains(where: isState) { return update }
    }
    return nil
  }
}

extension Scan {
  /// The operation that combines the state with something that does not depend on it, in any grouping, and what that is; nil
  /// for other steps.
  func combination(_ scalars: ScalarArena) -> (operation: ScalarOperation, update: ScalarID)? {
    let row = scalars[step]
    guard [.add, .multiply, .minimum, .maximum].contains(row.operation), row.condition == .none,
      [.float32, .float64, .int32, .int64].contains(row.type)
    else { return nil }
    return scalars.update(by: row).map { (row.operation, $0) }
  }
}

extension Scatter {
  /// The atomic operation that combines an update, and what the update is; nil if there is none.
  func atomic(_ stage: Stage, _ scalars: ScalarArena) -> (ScalarOperation, update: ScalarID)? {
    let row = scalars[combine]
    let type = stage.result.elementType
    let operations: [ScalarOperation] = type.isFloatingPoint ? [.add] : [.add, .minimum, .maximum]
    guard [.float32, .float64, .int32, .int64].contains(type), row.condition == .none,
      operations.contains(row.operation)
    else { return nil }
    return scalars.update(by: row).map { (row.operation, $0) }
  }

  /// The extents of the trailing axes that an update passes to its position unchanged.
  func passing(_ stage: Stage, _ scalars: ScalarArena) -> ArraySlice<Int> {
    var count = 0
    while count < min(updateExtents.count, stage.extents.count) {
      let axis = updateExtents.count - 1 - count
      let target = stage.extents.count - 1 - count
      let row = scalars[position[target]]
      let isAxis = row.operation == .axis && row.payload == Int64(axis)
      let isOnly = updateExtents[axis] == 1 && row.operation == .constant && row.payload == 0
      guard isAxis || isOnly, updateExtents[axis] == stage.extents[target] else { break }
      // Threads must not meet: no other part of the position may depend on the axis.
      let isUsed = scalars.reachable(from: Array(position[..<target])).contains {
        scalars[$0].operation == .axis && scalars[$0].payload == Int64(axis)
      }
      if isUsed { break }
      count += 1
    }
    return updateExtents.suffix(count)
  }
}

/// The least power of two that is not below a number.
func powerOfTwo(atLeast number: Int) -> Int {
  var power = 1
  while power < number { power *= 2 }
  return power
}
