import MartletLoopIR
import MartletTensors

extension CUDAScheduler {
  /// Elements of a row for each thread, where there are rows enough.
  private static let elementsOfThread = 16
  /// Registers of a thread that the elements of rows may take, of the 64 that it has at most.
  private static let registers = 40
  /// The work, in floating-point additions, that a thread's unrolled elements may have.
  private static let mostUnrolled = 2500

  /// Rows for stages that beyond shared axes have one row of elements each, of the same length; nil where they have not.
  func rowShape(_ stages: Range<Int>, shared: Int, rows: Int) -> CUDASchedule.Shape? {
    var length = 1
    let units = StageUnit.units(of: stages, accesses)
    for unit in units {
      let all = unit.stages.map { program.stages[$0] }
      let runs = accesses.ownRuns(all, shared: shared)
      let domain = accesses.domain(of: all[0])
      let kept = runs.filter { !$0.isReduced }.reduce(1) { $0 * domain[$1.run].reduce(1, *) }
      let reduced = runs.filter(\.isReduced).reduce(1) { $0 * domain[$1.run].reduce(1, *) }
      guard unit.kind == .maps || kept == 1 else { return nil }
      let own = kept * reduced
      // A reduction of nothing has its first state; one of a single element is as good as a map.
      guard own == length || own == 1 || length == 1, own > 0 else { return nil }
      if unit.kind == .reductions, own == 1 { return nil }
      length = max(length, own)
    }
    guard length > 1, length <= 1 << 30 else { return nil }
    let all = stages.map { program.stages[$0] }
    let arrays = arraysInUse(units, shared: shared)
    let types =
      all.flatMap { accesses.loads($0.roots) }.map { program.scalars[$0].type } + all.map(\.result.elementType)
    let widest = types.map(\.byteWidth).max() ?? 4
    var lanes = max(1, 16 / widest)
    while length % lanes != 0 { lanes /= 2 }
    let work = all.reduce(0) { $0 + accesses.cost(accesses.body(of: $1)) + 1 }
    var threads = powerOfTwo(atLeast: (length + Self.elementsOfThread - 1) / Self.elementsOfThread)
    let isBlock = length > 1024 || (length > 256 && rows < Self.wantedBlocks)
    threads = isBlock ? min(1024, max(128, threads)) : min(CUDADevice.warp, max(4, threads))
    while true {
      let steps = (length + threads * lanes - 1) / (threads * lanes)
      let elements = steps * lanes
      let registers = arrays * elements * max(1, widest / 4)
      let isFitting = registers <= Self.registers
      if isFitting, elements * work <= Self.mostUnrolled {
        return .rows(shared: shared, threads: threads, lanes: lanes, steps: steps)
      }
      guard isBlock, threads < 1024, elements > lanes else { break }
      threads *= 2
    }
    return .rows(shared: shared, threads: isBlock ? 512 : CUDADevice.warp, lanes: lanes, steps: 0)
  }
  /// The most arrays of a row's elements that are in use at once: what is read, and what one unit leaves for others.
  private func arraysInUse(_ units: [StageUnit], shared: Int) -> Int {
    // For each array the first and last unit that has to do with it.
    var spans: [ScalarID: ClosedRange<Int>] = [:]
    var results: [Int: ClosedRange<Int>] = [:]
    let isOwn = Set(units.flatMap(\.stages))
    for (number, unit) in units.enumerated() {
      for stage in unit.stages {
        // A value takes its register in place of those that it is computed from.
        if accesses.domain(of: program.stages[stage]).count == program.stages[stage].extents.count,
          program.stages[stage].extents.dropFirst(shared).contains(where: { $0 > 1 })
        {
          results[stage] = number + 1...number + 1
        }
        for load in accesses.loads(program.stages[stage].roots) {
          let row = program.scalars[load]
          if case .stage(let source) = Source(payload: row.payload), isOwn.contains(source) {
            if let span = results[source], span.lowerBound <= number { results[source] = span.lowerBound...number }
          } else if row.condition == .none {
            spans[load] = (spans[load]?.lowerBound ?? number)...number
          }
        }
      }
    }
    let all = Array(spans.values) + results.values
    return units.indices.map { unit in all.count { $0.contains(unit) } }.max().map { max(1, $0) } ?? 1
  }
}
