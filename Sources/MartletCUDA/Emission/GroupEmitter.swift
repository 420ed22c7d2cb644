import MartletGraph
import MartletLoopIR
import MartletTensors

/// Writes the launches of one group of a schedule.
final class GroupEmitter {
  let kernel: KernelEmitter
  let group: CUDASchedule.Group
  let stages: [Stage]
  let units: [StageUnit]

  init(_ kernel: KernelEmitter, _ group: CUDASchedule.Group) {
    self.kernel = kernel
    self.group = group
    stages = group.stages.map { kernel.program.stages[$0] }
    units = StageUnit.units(of: group.stages, kernel.accesses)
  }

  func stage(_ number: Int) -> Stage { kernel.program.stages[number] }

  func run() {
    switch group.shape {
    case .elements:
      if elementBlocks == 0 { return }
      kernel.entry(blocks: elementBlocks, threads: KernelEmitter.threads) {
        elements($0, block: "blockIdx.x", of: "gridDim.x")
      }
    case .tiles(let axis, let size): tiles(axis: axis, size: size)
    case .team(let shared, let width, let threads):
      TeamEmitter(self, shared: shared, width: width, threads: threads).run()
    case .rows: rowTeam?.run()
    case .lines: lines()
    case .scan(let threads, let lanes, let chunks):
      teamScan(threads: threads, lanes: lanes, chunks: chunks, totals: kernel.totals[group.stages.lowerBound])
    case .atomics: atomics()
    case .owners(let ranges, let width): owners(ranges: ranges, width: width)
    }
  }

  /// What each chunk of each line of a scan comes to, if there are several; left by one launch for the next.
  var chunkTotals: BufferType? {
    guard case .scan(_, _, let chunks) = group.shape, chunks > 1, case .scan(let scan) = stages[0].kind else {
      return nil
    }
    let lines = stages[0].result.elementCount / max(1, stages[0].extents[scan.axis])
    return BufferType(stages[0].result.elementType, [lines * chunks])
  }

  /// Intermediates of the group for which there is no room in shared memory.
  func stagesWithoutRoom() -> [Int] {
    if let rowTeam { return rowTeam.stagesWithoutRoom() }
    guard case .team(let shared, let width, let threads) = group.shape else { return [] }
    return TeamEmitter(self, shared: shared, width: width, threads: threads).stagesWithoutRoom()
  }

  private var rowTeam: TeamEmitter? {
    guard case .rows(let shared, let threads, let lanes, let steps) = group.shape else { return nil }
    return TeamEmitter(
      self, shared: shared, width: 1, threads: threads, layout: RowLayout(lanes: lanes, steps: steps))
  }

  /// Whether a unit after the stage's own reads it.
  func isReadLater(_ number: Int) -> Bool {
    guard let home = units.firstIndex(where: { $0.stages.contains(number) }) else { return false }
    return units[(home + 1)...].contains { unit in unit.stages.contains { reads($0, number) } }
  }

  func reads(_ reader: Int, _ number: Int) -> Bool {
    kernel.accesses.loads(stage(reader).roots).contains {
      kernel.program.scalars[$0].payload == Source.stage(number).payload
    }
  }

  /// The axes of runs of them from an index for each run.
  func spread(_ writer: EntryWriter, _ indices: [Scalar], _ runs: [Range<Int>], _ extents: [Int]) -> [Scalar] {
    zip(indices, runs).flatMap { writer.indices($0, extents[$1].map { $0 }) }
  }

  /// The loop of a thread over `count` iterations, which a number of blocks share.
  func gridLoop(
    _ writer: EntryWriter, _ count: Int, limit: String? = nil, threads: Int, block: String = "blockIdx.x",
    of blocks: String = "gridDim.x", _ body: (Scalar) -> Void
  ) {
    let variable = writer.name("i")
    let type = EntryWriter.indexType(count)
    let axis = writer.axis(count, variable)
    writer.strided(
      "\(type) \(variable)", from: "(\(type))\(block) * \(threads) + threadIdx.x", below: limit ?? "\(count)",
      by: "(\(type))\(blocks) * \(threads)", isOnce: kernel.isOnce(count, forBlock: threads, threads: threads)
    ) { body(axis) }
  }

  // MARK: Elements

  private var lanes: Int { if case .elements(let lanes) = group.shape { lanes } else { 1 } }

  /// The blocks that all elements fill, with a vector for each thread.
  var elementBlocks: Int {
    let count = stages[0].extents.reduce(1, *)
    return count == 0 ? 0 : (max(count / lanes, 1) + KernelEmitter.threads - 1) / KernelEmitter.threads
  }

  /// The elements of a group of maps, by one of the blocks that share them.
  ///
  /// - Parameter length: A variable with the number of elements, where the code is to be the same for any.
  func elements(_ writer: EntryWriter, block: String, of blocks: String, length: String? = nil) {
    let extents = stages[0].extents
    let runs = kernel.accesses.collapsedShared(extents.count, of: stages)
    let sizes = runs.map { extents[$0].reduce(1, *) }
    let last = sizes.last { $0 > 1 } ?? 1
    // Where rows cannot be cut into vectors there is one row, with a rest behind the last vector.
    let count = extents.reduce(1, *)
    let rest = last % lanes == 0 ? 0 : count % lanes
    let vectors = count / lanes
    if vectors > 0 {
      let limit = length.map { lanes > 1 ? "\($0) / \(lanes)" : $0 }
      gridLoop(writer, vectors, limit: limit, threads: KernelEmitter.threads, block: block, of: blocks) { vector in
        let lane = writer.laneAxis(lanes)
        let flat = writer.scalars.sum([(vector, lanes), (lane, 1)])
        elements(writer, at: spread(writer, writer.indices(flat, sizes), runs, extents), lanes: lanes)
      }
    }
    guard rest > 0 else { return }
    writer.block("if (\(block) == 0 && threadIdx.x < \(length.map { "\($0) % \(lanes)" } ?? "\(rest)"))") {
      let axis = writer.axis(rest, "(int)threadIdx.x")
      let start = length.map { writer.axis(vectors * lanes + 1, "(\($0) - \($0) % \(lanes))") }
      let flat = writer.scalars.sum(
        [(axis, 1)] + (start.map { [($0, 1)] } ?? []), plus: start == nil ? vectors * lanes : 0)
      elements(writer, at: spread(writer, writer.indices(flat, sizes), runs, extents), lanes: 1)
    }
  }

  private func elements(_ writer: EntryWriter, at axes: [Scalar], lanes: Int) {
    var values: [Int: Scalar] = [:]
    for number in group.stages {
      guard case .map(let root) = stage(number).kind else { preconditionFailure("not a map") }
      values[number] =
        kernel.translate([root], into: writer, axes: axes) { source, _, condition in
          values[source].map { writer.guarded($0, condition) }
        }[0]
    }
    let stored = group.stages.filter { !kernel.memory[$0].isEmpty }
    // Everything is computed before the first store: an output may lie over an input.
    let texts = writer.texts(stored.map { values[$0]!.id })
    for (number, value) in zip(stored, texts) {
      for buffer in kernel.memory[number] {
        store(writer, buffer, at: writer.offset(axes, stage(number).extents), value, lanes: lanes)
      }
    }
  }

  func store(_ writer: EntryWriter, _ buffer: Int, at offset: Scalar, _ value: EntryWriter.Value, lanes: Int) {
    let target = writer.buffers[buffer]
    let offsets = writer.texts([offset.id])[0]
    guard lanes > 1 else {
      writer.line("\(target.name)[\(offsets.texts[0])] = \(value.texts[0]);")
      return
    }
    if target.isGlobal, writer.isContiguous(offset.id, lanes) {
      let vector = "m_vector<\(lanes), \(target.elementType.kernelType)>"
      let elements = (0..<lanes).map { value.text($0) }.joined(separator: ", ")
      let flag = writer.alignment(buffer, lanes: lanes)
      let variable = writer.name("v")
      writer.line("const \(vector) \(variable) = {{\(elements)}};")
      writer.line("m_store<\(lanes)>(\(target.name) + \(offsets.texts[0]), \(variable), \(flag));")
    } else {
      for lane in 0..<lanes { writer.line("\(target.name)[\(offsets.text(lane))] = \(value.text(lane));") }
    }
  }
}
