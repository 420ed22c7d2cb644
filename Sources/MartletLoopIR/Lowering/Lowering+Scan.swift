import MartletTensors

extension Lowering {
  /// A scan: the axes before its own, and blocks of those after it, are iterations of the phase; lanes go along those after.
  func lower(_ scan: Scan, _ number: Int, _ group: Schedule.Group) {
    let stage = program.stages[number]
    if stage.result.elementCount == 0 { return }
    let outer = Array(stage.extents[..<scan.axis])
    let inner = Array(stage.extents[(scan.axis + 1)...])
    let along = stage.extents[scan.axis]
    let width = inner.reduce(1, *)
    let lanes: Int = if case .own(let lanes) = group.vector { lanes } else { 1 }
    let block = width <= 2 * lanes ? width : 2 * lanes
    let work = accesses.work(stage)
    func phase(from start: Int, size: Int, blocks: Int) {
      let count = outer.reduce(1, *) * blocks
      let (axis, flat) = nest.axis(count)
      let indices = nest.indices(flat, outer + [blocks])
      let (laneAxis, lane) = nest.axis(size)
      let (loopAxis, step) = nest.axis(along)
      let column = nest.scalars.sum([(indices[outer.count], size), (lane, 1)], plus: start)
      let position =
        scan.isReversed ? nest.scalars.sum([(step, -1)], plus: along - 1) : step
      let axes = Array(indices[..<outer.count]) + [position] + nest.indices(column, inner)
      let body = serialScan(scan, number, axes: axes, loopAxis: loopAxis, along: along)
      let each = max(1, work / max(1, count))
      nest.phase(
        axis, count, grain: work <= Scheduler.serialWork ? count : (Scheduler.workerWork + each - 1) / each,
        loop(laneAxis, size, .vector(lanes), body))
    }
    let blocks = width / block
    phase(from: 0, size: block, blocks: blocks)
    if width > blocks * block { phase(from: blocks * block, size: width - blocks * block, blocks: 1) }
  }

  private func serialScan(_ scan: Scan, _ number: Int, axes: [Scalar], loopAxis: Int, along: Int) -> [NestStatement] {
    let stage = program.stages[number]
    let type = stage.result.elementType
    let state = nest.register(type)
    let next = nest.register(type)
    let initial = translate([scan.initial], axes: axes)[0]
    let stepped = translate([scan.step], axes: axes, states: [nest.read(state)])[0]
    let index = offset(axes, stage.extents)
    // The step is computed before the store: the result may take the memory of what the step reads.
    let stored = nest.read(scan.isExclusive ? state : next)
    var body: [NestStatement] = [.assign(register: next, value: stepped.id)]
    for buffer in memory[number] {
      body.append(.store(buffer: buffer, index: index.id, value: stored.id, condition: .none))
    }
    body.append(.assign(register: state, value: nest.read(next).id))
    return [.assign(register: state, value: initial.id)] + loop(loopAxis, along, .serial, body)
  }
}
