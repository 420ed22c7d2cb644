import MartletTensors

extension Schedule {
  /// The schedule that fixed estimates choose for a program.
  public static func `default`(for program: StageProgram, machine: MachineShape = MachineShape()) -> Schedule {
    let kept = program.keepingSharedScalars()
    let splits = Scheduler(kept ?? program, machine).splits()
    let scheduler = Scheduler((kept ?? program).splitting(splits), machine)
    let groups = scheduler.groups().map { scheduler.scheduled($0) }
    return Schedule(
      keepsSharedScalars: kept != nil, splits: splits, groups: groups, streamed: scheduler.streamed(groups))
  }
}

/// Chooses how a program runs.
struct Scheduler {
  /// Less work than this is not worth a second worker, in floating-point additions. With 512-bit vectors a core does 60 to
  /// 130 of these in a nanosecond where its caches keep up (measured), and a parallel region costs about 700 ns.
  static let serialWork = 1 << 17
  /// The work that one worker should get at least.
  static let workerWork = 1 << 16
  /// Where an element takes that many additions, as functions do, its operations wait for each other: four registers of lanes
  /// at a time run up to 1.3 times as fast (measured). Their code takes as many times longer to generate, so the work has
  /// to be more than that: 40 to 70 µs of a core.
  static let leastInterleavedCost = 12
  static let leastInterleavedWork = 1 << 22
  /// The fewest iterations of a phase that keep a team busy.
  static let wantedIterations = 16
  /// The most bytes of intermediates that an iteration may keep in scratch memory.
  static let scratchLimit = 256 << 10

  let program: StageProgram
  let machine: MachineShape
  let accesses: StageAccesses

  init(_ program: StageProgram, _ machine: MachineShape) {
    self.program = program
    self.machine = machine
    accesses = StageAccesses(program)
  }

  // MARK: Splits

  /// Cuts reductions that are long and have too few results to keep a team busy.
  func splits() -> [Schedule.Split] {
    var splits: [Schedule.Split] = []
    for (number, stage) in program.stages.enumerated() {
      guard case .reduce(let reduction) = stage.kind, accesses.loads(reduction.initial + reduction.merge).isEmpty else {
        continue
      }
      let work = accesses.work(stage)
      let unit = StageUnit(kind: .reductions, stages: [number])
      let plan = vector(for: [unit], shared: stage.extents.count)
      let results = stage.result.elementCount
      let iterations: Int =
        if case .shared(_, let lanes, _) = plan { (results + lanes - 1) / lanes } else { results }
      guard results > 0, iterations < 8, work >= 4 * Self.serialWork else { continue }
      let wanted = min(64, max(2, work / Self.workerWork))
      if let split = Schedule.Split(stage: number, extents: reduction.extents, wanted: wanted) { splits.append(split) }
    }
    return splits
  }

  // MARK: Groups

  /// Consecutive stages that can run in one loop over leading axes that they share, where that is worth while.
  func groups() -> [Schedule.Group] {
    var groups: [Schedule.Group] = []
    for (number, stage) in program.stages.enumerated() {
      if let last = groups.last, let shared = sharedAxes(last, number) {
        groups[groups.count - 1] = Schedule.Group(stages: last.stages.lowerBound..<number + 1, shared: shared)
      } else {
        groups.append(Schedule.Group(stages: number..<number + 1, shared: stage.extents.count))
      }
    }
    return groups
  }

  /// The number of leading axes over which a group and the stage after it can run together, or nil.
  private func sharedAxes(_ group: Schedule.Group, _ number: Int) -> Int? {
    let stage = program.stages[number]
    let first = program.stages[group.stages.lowerBound]
    switch (stage.kind, first.kind) {
    case (.scan, _), (.scatter, _), (_, .scan), (_, .scatter): return nil
    default: break
    }
    var shared = min(group.shared, stage.extents.count)
    shared = zip(first.extents.prefix(shared), stage.extents).prefix { $0 == $1 }.count
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
    let stages = group.stages.lowerBound..<number + 1
    let iterations = first.extents.prefix(shared).reduce(1, *)
    let work = stages.reduce(0) { $0 + accesses.work(program.stages[$1]) }
    let isWideEnough = iterations >= Self.wantedIterations || work <= Self.serialWork
    // Nothing is lost where the stages had no more iterations before either.
    let isNoLoss =
      iterations == first.extents.prefix(group.shared).reduce(1, *)
      && iterations == stage.extents.reduce(1, *)
    guard isWideEnough || isNoLoss else { return nil }
    let scratch = stages.reduce(0) { total, number in
      let stage = program.stages[number]
      return total + stage.extents.dropFirst(shared).reduce(stage.result.elementType.byteWidth, multipliedSaturating)
    }
    return scratch <= Self.scratchLimit ? shared : nil
  }

  // MARK: Vectors

  /// The lanes of a register for the values that stages compute; indices do not count.
  func lanes(_ stages: [Stage]) -> Int {
    var widest = 1
    for stage in stages {
      widest = max(widest, stage.result.elementType.byteWidth)
      var roots = stage.rootsOverAxes
      if case .scatter(let scatter) = stage.kind { roots = [scatter.combine] }
      for id in accesses.values(roots) {
        let row = program.scalars[id]
        if row.operation == .load || row.type.isFloatingPoint { widest = max(widest, row.type.byteWidth) }
      }
    }
    return max(1, machine.vectorBytes / widest)
  }

  /// Where the lanes of units that share leading axes should come from.
  func vector(for units: [StageUnit], shared: Int) -> Schedule.Vector {
    let stages = units.flatMap { $0.stages.map { program.stages[$0] } }
    let lanes = lanes(stages)
    let costs = units.map { VectorCost($0, in: units, accesses) }
    let runs = accesses.collapsedShared(shared, of: stages)
    let hasReductions = units.contains { $0.kind == .reductions }
    // Lanes inside an iteration, unit by unit along its best axis.
    var best = Schedule.Vector.none
    var bestCost = 0.0
    for (unit, cost) in zip(units, costs) {
      let own = ownRuns(unit, shared: shared)
      let each = own.map { cost.perElement(along: $0.run, lanes: lanes, isReduced: $0.isReduced) }.min()
      if each != nil { best = .own(lanes: lanes) }
      bestCost += Double(cost.elements(from: shared)) * (each ?? cost.scalarPerElement)
    }
    for (dimension, run) in runs.enumerated() {
      let extent = stages[0].extents[run].reduce(1, *)
      if extent < 2 { continue }
      let total = zip(units, costs).reduce(0.0) { sum, pair in
        sum + Double(pair.1.elements(from: shared)) * pair.1.perElement(along: run, lanes: lanes, isShared: true)
      }
      if total < bestCost {
        bestCost = total
        var width = lanes
        // Independent sums in flight hide the latency of their additions.
        if hasReductions {
          let operations = units.map { accesses.cost($0.stages.flatMap { accesses.body(of: program.stages[$0]) }) }
          let factor = operations.max()! <= 8 ? 4 : operations.max()! <= 20 ? 2 : 1
          while width < lanes * factor, width < extent { width *= 2 }
        } else {
          while width / 2 >= extent, width > 1 { width /= 2 }
        }
        best = .shared(dimension: dimension, lanes: width, block: extent)
      }
    }
    return best
  }

  /// The runs of axes that a unit has to itself in a group with `shared` axes.
  func ownRuns(_ unit: StageUnit, shared: Int) -> [(run: Range<Int>, isReduced: Bool)] {
    accesses.ownRuns(unit.stages.map { program.stages[$0] }, shared: shared)
  }

  // MARK: Grains

  /// The group with lanes, block and grain.
  func scheduled(_ group: Schedule.Group) -> Schedule.Group {
    var group = group
    let stages = group.stages.map { program.stages[$0] }
    let work = stages.reduce(0) { $0 + accesses.work($1) }
    switch stages[0].kind {
    case .scan, .scatter:
      group.vector = .own(lanes: lanes(stages))
      group.grain = 1
      return group
    default: break
    }
    let units = StageUnit.units(of: group.stages, accesses)
    group.vector = vector(for: units, shared: group.shared)
    let runs = accesses.collapsedShared(group.shared, of: stages)
    let extents = runs.map { stages[0].extents[$0].reduce(1, *) }
    var iterations = extents.reduce(1, *)
    if case .shared(let dimension, var lanes, _) = group.vector {
      let extent = extents[dimension]
      let tile = tile(units, runs, dimension: dimension)
      if tile == nil, units.allSatisfy({ $0.kind == .maps }), work >= Self.leastInterleavedWork,
        work / max(1, iterations) >= Self.leastInterleavedCost, 4 * lanes <= min(extent, Schedule.Group.mostLanes)
      {
        lanes *= 4
      }
      let block = block(
        extent, lanes: lanes, outer: extents.prefix(dimension).reduce(1, *), work: work,
        isFlat: units.allSatisfy { $0.kind == .maps } && stages.allSatisfy { $0.extents.count == group.shared })
      group.vector = .shared(dimension: dimension, lanes: lanes, block: block)
      iterations = extents.prefix(dimension).reduce(1, *) * max(1, extent / max(1, block))
      if let tile {
        group.tile = tile
        group.vector = .shared(dimension: dimension, lanes: lanes, block: min(extent, lanes))
        iterations = iterations / tile.size * max(1, block / lanes)
      }
    }
    let each = max(1, work / max(1, iterations))
    group.grain = max(1, work <= Self.serialWork ? iterations : (Self.workerWork + each - 1) / each)
    return group
  }

  /// A tile for a map whose loads run along one axis and its stores along another, both of them long.
  private func tile(_ units: [StageUnit], _ runs: [Range<Int>], dimension: Int) -> Schedule.Tile? {
    guard units.count == 1, units[0].kind == .maps, dimension > 0 else { return nil }
    let stages = units[0].stages.map { program.stages[$0] }
    let extents = stages[0].extents
    guard stages[0].result.byteCount > machine.l1 / 2, extents[runs[dimension]].reduce(1, *) >= 8 else { return nil }
    let offsets = accesses.loads(stages.flatMap { accesses.body(of: $0) }).map { accesses.offset(of: $0) }
    func stride(_ offset: AffineForm, _ run: Range<Int>) -> UInt64? {
      accesses.stride(of: offset, along: run.last { extents[$0] > 1 } ?? run.lowerBound)?.magnitude
    }
    for outer in (0..<dimension).reversed() {
      let extent = extents[runs[outer]].reduce(1, *)
      let isTransposed = offsets.contains {
        stride($0, runs[outer]) == 1 && (stride($0, runs[dimension]) ?? 0) > 8
      }
      guard isTransposed, extent >= 8 else { continue }
      let size = [16, 32, 24, 28, 20, 12, 14, 10, 8].first { extent % $0 == 0 } ?? 16
      return extent >= size ? Schedule.Tile(dimension: outer, size: size) : nil
    }
    return nil
  }

  /// How many indices of the vectorised axis one iteration of the phase takes.
  private func block(_ extent: Int, lanes: Int, outer: Int, work: Int, isFlat: Bool) -> Int {
    if work <= Self.serialWork || extent <= lanes { return extent }
    let each = max(1, work / max(1, extent * outer))
    // A quarter of what a worker should get, so that any number of workers get nearly the same.
    let groups = max(1, Self.workerWork / 4 / multipliedSaturating(each, lanes))
    if isFlat {
      // Elements are plenty: blocks of enough work, with no rest where a divisor is near.
      if outer >= Self.wantedIterations, multipliedSaturating(extent, each) <= 4 * Self.workerWork { return extent }
      return Self.even(extent, from: lanes * groups, lanes)
    }
    // Few groups of lanes each, unless the axes before give iterations enough and this one is short.
    if outer >= 4 * Self.wantedIterations, extent <= 8 * lanes { return extent }
    return Self.even(extent, from: lanes * min(groups, max(1, extent / lanes / Self.wantedIterations)), lanes)
  }

  /// A block near `wanted` that divides the extent, best into whole groups of lanes; else `wanted`, and there is a rest.
  static func even(_ extent: Int, from wanted: Int, _ lanes: Int) -> Int {
    if wanted >= extent { return extent }
    let near = (max(1, wanted * 3 / 4)...min(extent, wanted * 2)).filter { extent % $0 == 0 }
    for part in [lanes, max(1, lanes / 4)] {
      let fitting = near.filter { $0 % part == 0 }
      if let best = fitting.min(by: { abs($0 - wanted) < abs($1 - wanted) }) { return best }
    }
    return wanted
  }
}

extension StageAccesses {
  /// The shared axes of a group's stages, collapsed where all of them allow it.
  package func collapsedShared(_ shared: Int, of stages: [Stage]) -> [Range<Int>] {
    var cuts = Set<Int>()
    for stage in stages { for run in collapsed(0..<shared, of: [stage]) { cuts.insert(run.lowerBound) } }
    let starts = cuts.sorted()
    return starts.enumerated().map { $1..<($0 + 1 < starts.count ? starts[$0 + 1] : shared) }
  }

  /// The axes of a unit's stages beyond the shared ones, collapsed: those of the result, then reduced ones.
  package func ownRuns(_ stages: [Stage], shared: Int) -> [(run: Range<Int>, isReduced: Bool)] {
    let rank = stages[0].extents.count
    let count = domain(of: stages[0]).count
    let own = collapsed(shared..<rank, of: stages).map { ($0, false) }
    let reduced = collapsed(rank..<count, of: stages).map { ($0, true) }
    return own + reduced
  }
}
