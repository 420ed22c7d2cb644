import MartletTensors

/// Lowers one group of maps and reductions: a phase over the shared axes, and in it one unit after the other.
final class GroupLowering {
  let lowering: Lowering
  let group: Schedule.Group
  let units: [StageUnit]
  let stages: [Stage]
  /// For a stage that later units read and that has more than one element an iteration, its scratch buffer.
  private var scratch: [Int: Int] = [:]

  /// Where the statements of one iteration stand.
  struct Place {
    /// The shared axes.
    var shared: [Scalar]
    /// With lanes along a shared axis: the number of the lane in its block, and the block's size.
    var lane: (index: Scalar, count: Int)?
    /// The register of each stage that has one element an iteration.
    var registers: [Int: Int] = [:]
  }

  init(_ lowering: Lowering, _ group: Schedule.Group) {
    self.lowering = lowering
    self.group = group
    units = StageUnit.units(of: group.stages, lowering.accesses)
    stages = group.stages.map { lowering.program.stages[$0] }
  }

  func stage(_ number: Int) -> Stage { lowering.program.stages[number] }

  /// The elements of a stage in one iteration.
  func ownCount(_ number: Int) -> Int { stage(number).extents.dropFirst(group.shared).reduce(1, *) }

  /// Whether a unit after the stage's own reads it.
  func isReadLater(_ number: Int) -> Bool {
    guard let home = units.firstIndex(where: { $0.stages.contains(number) }) else { return false }
    return units[(home + 1)...].contains { unit in
      unit.stages.contains { reader in
        lowering.accesses.loads(stage(reader).roots).contains {
          lowering.program.scalars[$0].payload == Source.stage(number).payload
        }
      }
    }
  }

  // MARK: Phases

  func run() {
    let runs = lowering.accesses.collapsedShared(group.shared, of: stages)
    let extents = runs.map { stages[0].extents[$0].reduce(1, *) }
    if extents.contains(0) { return }
    guard case .shared(let dimension, let lanes, let block) = group.vector else {
      allocateScratch(lanes: 1)
      let count = extents.reduce(1, *)
      let (axis, flat) = lowering.nest.axis(count)
      let place = Place(shared: spread(lowering.nest.indices(flat, extents), runs), lane: nil)
      lowering.nest.phase(axis, count, grain: group.grain, statements(at: place))
      return
    }
    let size = max(1, min(block, extents[dimension]))
    allocateScratch(lanes: size)
    for stretch in stretches(extents[dimension], of: size) {
      guard let tile = group.tile else {
        phase(runs, extents, dimension, lanes: lanes, block: stretch, tile: nil)
        continue
      }
      for part in stretches(extents[tile.dimension], of: tile.size) {
        phase(runs, extents, dimension, lanes: lanes, block: stretch, tile: (tile.dimension, part))
      }
    }
  }

  /// Equal parts of an axis, from `start` on.
  private struct Stretches {
    var start: Int
    var size: Int
    var count: Int
  }

  /// An axis as equal parts, and one more for the rest.
  private func stretches(_ extent: Int, of size: Int) -> [Stretches] {
    let whole = extent / size
    let rest = extent - whole * size
    return (whole > 0 ? [Stretches(start: 0, size: size, count: whole)] : [])
      + (rest > 0 ? [Stretches(start: whole * size, size: rest, count: 1)] : [])
  }

  /// A phase whose lanes run along one of the shared runs of axes, in blocks. The runs before it are iterations of the phase
  /// too, one of them perhaps in tiles; those after it are loops around the lanes.
  private func phase(
    _ runs: [Range<Int>], _ extents: [Int], _ dimension: Int, lanes: Int, block: Stretches,
    tile: (dimension: Int, part: Stretches)?
  ) {
    var outer = Array(extents.prefix(dimension)) + [block.count]
    if let tile { outer[tile.dimension] = tile.part.count }
    let count = outer.reduce(1, *)
    let (axis, flat) = lowering.nest.axis(count)
    var indices = lowering.nest.indices(flat, outer)
    var inner: [(extent: Int, axis: (number: Int, value: Scalar))] = []
    if let tile {
      let position = lowering.nest.axis(tile.part.size)
      indices[tile.dimension] = lowering.nest.scalars.sum(
        [(indices[tile.dimension], tile.part.size), (position.value, 1)], plus: tile.part.start)
      inner.append((tile.part.size, position))
    }
    let after = extents.dropFirst(dimension + 1).map { (extent: $0, axis: lowering.nest.axis($0)) }
    let (laneAxis, lane) = lowering.nest.axis(block.size)
    indices[dimension] = lowering.nest.scalars.sum(
      [(indices[dimension], block.size), (lane, 1)], plus: block.start)
    indices += after.map(\.axis.value)
    inner += after
    let place = Place(shared: spread(indices, runs), lane: (lane, block.size))
    var body = lowering.loop(laneAxis, block.size, .vector(lanes), statements(at: place))
    for loop in inner.reversed() { body = lowering.loop(loop.axis.number, loop.extent, .serial, body) }
    lowering.nest.phase(axis, count, grain: group.grain, body)
  }

  /// The axes of runs from an index for each run.
  func spread(_ indices: [Scalar], _ runs: [Range<Int>], _ extents: [Int]? = nil) -> [Scalar] {
    let extents = extents ?? stages[0].extents
    return zip(indices, runs).flatMap { lowering.nest.indices($0, extents[$1].map { $0 }) }
  }

  private func allocateScratch(lanes: Int) {
    for number in group.stages where ownCount(number) != 1 && lowering.memory[number].isEmpty && isReadLater(number) {
      scratch[number] = lowering.nest.scratch(stage(number).result.elementType, ownCount(number) * lanes)
    }
  }

  private func statements(at place: Place) -> [NestStatement] {
    var place = place
    return units.flatMap { unit in
      unit.kind == .maps ? maps(unit, &place) : reductions(unit, &place)
    }
  }

  // MARK: Values

  /// What stands for a load of a stage of this group: a value of the same unit, a register, or scratch memory.
  func intermediate(_ number: Int, _ indices: [Scalar], _ condition: Scalar?, _ place: Place, _ values: [Int: Scalar])
    -> Scalar?
  {
    if let value = values[number] { return lowering.guarded(value, condition) }
    if let register = place.registers[number] { return lowering.guarded(lowering.nest.read(register), condition) }
    guard let buffer = scratch[number] else { return nil }
    let own = Array(indices.dropFirst(group.shared))
    return lowering.nest.load(buffer, at: scratchOffset(number, own, place), if: condition)
  }

  private func scratchOffset(_ number: Int, _ own: [Scalar], _ place: Place) -> Scalar {
    let strides = rowMajorStrides(Array(stage(number).extents.dropFirst(group.shared)))
    let lanes = place.lane?.count ?? 1
    var terms = zip(own, strides).map { (scalar: $0, factor: $1 * lanes) }
    if let lane = place.lane { terms.append((lane.index, 1)) }
    return lowering.nest.scalars.sum(terms)
  }

  /// The statements that leave values of stages where they are read: in slots, in scratch memory, in registers.
  func keep(_ values: [(stage: Int, value: Scalar)], axes: [Scalar], _ place: inout Place) -> [NestStatement] {
    var statements: [NestStatement] = []
    var stores: [(buffer: Int, offset: Scalar, stage: Int)] = []
    for (number, _) in values {
      if let buffer = scratch[number] {
        stores.append((buffer, scratchOffset(number, Array(axes.dropFirst(group.shared)), place), number))
      }
      for buffer in lowering.memory[number] {
        stores.append((buffer, lowering.offset(axes, stage(number).extents), number))
      }
    }
    var current = Dictionary(uniqueKeysWithValues: values.map { ($0.stage, $0.value) })
    for (number, value) in values {
      let isRegister = ownCount(number) == 1 && isReadLater(number)
      // Everything is computed before the first store: one of the slots may be memory that is still to be read.
      let isStoredAmongOthers = stores.count > 1 && stores.contains { $0.stage == number }
      guard isRegister || isStoredAmongOthers else { continue }
      let register = lowering.nest.register(value.type)
      statements.append(.assign(register: register, value: value.id))
      current[number] = lowering.nest.read(register)
      if isRegister { place.registers[number] = register }
    }
    for store in stores {
      statements.append(
        .store(buffer: store.buffer, index: store.offset.id, value: current[store.stage]!.id, condition: .none))
    }
    return statements
  }

  /// Loops over runs of axes with `body` inside; the lanes, if any, go along run number `vector`, as the innermost loop.
  func loops(
    _ runs: [Range<Int>], _ extents: [Int], vector: Int?, lanes: Int, _ body: ([Scalar]) -> [NestStatement]
  ) -> [NestStatement] {
    let axes = runs.map { run in
      let extent = extents[run].reduce(1, *)
      return (extent: extent, axis: lowering.nest.axis(extent))
    }
    if axes.contains(where: { $0.extent == 0 }) { return [] }
    let values = zip(axes, runs).flatMap { lowering.nest.indices($0.axis.value, Array(extents[$1])) }
    var statements = body(values)
    if let vector {
      let extent = axes[vector].extent
      statements = lowering.loop(axes[vector].axis.number, extent, .vector(lanesFitting(lanes, extent)), statements)
    }
    for (number, loop) in axes.enumerated().reversed() where number != vector {
      statements = lowering.loop(loop.axis.number, loop.extent, .serial, statements)
    }
    return statements
  }

  /// No more lanes than the next power of two above the iterations.
  func lanesFitting(_ lanes: Int, _ extent: Int) -> Int {
    var fitting = lanes
    while fitting / 2 >= extent, fitting > 1 { fitting /= 2 }
    return fitting
  }
}
