import MartletTensors

extension Lowering {
  /// A scatter: a phase writes the initial elements, then the updates follow one another in order. Trailing axes that pass
  /// through to the position unchanged are dealt to workers and lanes.
  func lower(_ scatter: Scatter, _ number: Int, _ group: Schedule.Group) {
    let stage = program.stages[number]
    if stage.result.elementCount == 0 { return }
    let lanes: Int = if case .own(let lanes) = group.vector { lanes } else { 1 }
    initialize(scatter, number, lanes: lanes)
    let extents = scatter.updateExtents
    if extents.contains(0) { return }
    var passing = 0
    while passing < min(extents.count, stage.extents.count) {
      let axis = extents.count - 1 - passing
      let target = stage.extents.count - 1 - passing
      let row = program.scalars[scatter.position[target]]
      let isAxis = row.operation == .axis && row.payload == Int64(axis)
      let isOnly = extents[axis] == 1 && row.operation == .constant && row.payload == 0
      guard isAxis || isOnly, extents[axis] == stage.extents[target] else { break }
      // Lanes must not meet: no other part of the position may depend on the axis.
      let others = program.scalars.reachable(from: Array(scatter.position[..<target]))
      let isUsed = others.contains {
        program.scalars[$0].operation == .axis && program.scalars[$0].payload == Int64(axis)
      }
      if isUsed { break }
      passing += 1
    }
    let leading = Array(extents.prefix(extents.count - passing))
    let trailing = Array(extents.suffix(passing))
    let width = trailing.reduce(1, *)
    let block = width <= 4 * lanes ? width : 4 * lanes
    let work = accesses.work(stage)
    func phase(from start: Int, size: Int, blocks: Int) {
      let (axis, flat) = nest.axis(blocks)
      let updates = leading.map { (extent: $0, axis: nest.axis($0)) }
      let (laneAxis, lane) = nest.axis(size)
      let column = nest.scalars.sum([(flat, size), (lane, 1)], plus: start)
      let axes = updates.map(\.axis.value) + nest.indices(column, trailing)
      var body = loop(laneAxis, size, .vector(lanes), [update(scatter, number, axes)])
      for update in updates.reversed() { body = loop(update.axis.number, update.extent, .serial, body) }
      let each = max(1, work / max(1, blocks))
      nest.phase(
        axis, blocks, grain: work <= Scheduler.serialWork ? blocks : (Scheduler.workerWork + each - 1) / each, body)
    }
    let blocks = width / block
    phase(from: 0, size: block, blocks: blocks)
    if width > blocks * block { phase(from: blocks * block, size: width - blocks * block, blocks: 1) }
    let copies = memory[number].dropFirst()
    for buffer in copies { copy(memory[number][0], to: buffer, stage.result.elementCount, lanes: lanes) }
  }

  private func initialize(_ scatter: Scatter, _ number: Int, lanes: Int) {
    let stage = program.stages[number]
    let count = stage.result.elementCount
    let work = multipliedSaturating(count, accesses.cost([scatter.initial]) + 1)
    let block = work <= Scheduler.serialWork ? count : Scheduler.even(count, from: Scheduler.workerWork, lanes)
    func phase(from start: Int, size: Int, blocks: Int) {
      let (axis, flat) = nest.axis(blocks)
      let (laneAxis, lane) = nest.axis(size)
      let index = nest.scalars.sum([(flat, size), (lane, 1)], plus: start)
      let value = translate([scatter.initial], axes: nest.indices(index, stage.extents))[0]
      let store = NestStatement.store(buffer: memory[number][0], index: index.id, value: value.id, condition: .none)
      nest.phase(axis, blocks, grain: 1, loop(laneAxis, size, .vector(lanes), [store]))
    }
    phase(from: 0, size: block, blocks: count / block)
    if count % block > 0 { phase(from: count / block * block, size: count % block, blocks: 1) }
  }

  private func update(_ scatter: Scatter, _ number: Int, _ axes: [Scalar]) -> NestStatement {
    let stage = program.stages[number]
    let buffer = memory[number][0]
    let position = translate(scatter.position, axes: axes)
    var isInside = nest.scalars.boolean(true)
    for (index, extent) in zip(position, stage.extents) {
      let isLow = nest.scalars.lessEqual(nest.scalars.integer(0), index)
      let isHigh = nest.scalars.less(index, nest.scalars.integer(extent))
      isInside = nest.scalars.and(isInside, nest.scalars.and(isLow, isHigh))
    }
    let index = offset(position, stage.extents)
    let current = nest.load(buffer, at: index, if: isInside)
    let combined = translate([scatter.combine], axes: axes, states: [current])[0]
    let condition = nest.scalars.arena[isInside.id]
    let isAlways = condition.operation == .constant && condition.payload != 0
    return .store(buffer: buffer, index: index.id, value: combined.id, condition: isAlways ? .none : isInside.id)
  }

  private func copy(_ source: Int, to target: Int, _ count: Int, lanes: Int) {
    let (axis, _) = nest.axis(1)
    let (inner, index) = nest.axis(count)
    let value = nest.load(source, at: index)
    let store = NestStatement.store(buffer: target, index: index.id, value: value.id, condition: .none)
    nest.phase(axis, 1, grain: 1, loop(inner, count, .vector(lanes), [store]))
  }
}
