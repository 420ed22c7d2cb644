import MartletTensors

extension GroupLowering {
  /// The run of a unit's own axes that its lanes go along, or nil.
  private func vectorRun(_ unit: StageUnit, _ runs: [(run: Range<Int>, isReduced: Bool)]) -> (run: Int, lanes: Int)? {
    guard case .own(let lanes) = group.vector else { return nil }
    let cost = VectorCost(unit, in: units, lowering.accesses)
    let extents = cost.domain
    let useful = runs.indices.filter { extents[runs[$0].run].reduce(1, *) > 1 }
    let costs = useful.map {
      (run: $0, cost: cost.perElement(along: runs[$0].run, lanes: lanes, isReduced: runs[$0].isReduced))
    }
    return costs.min { $0.cost < $1.cost }.map { ($0.run, lanes) }
  }

  func maps(_ unit: StageUnit, _ place: inout Place) -> [NestStatement] {
    let runs = lowering.accesses.ownRuns(unit.stages.map { stage($0) }, shared: group.shared)
    let vector = vectorRun(unit, runs)
    var registers = place.registers
    let outer = place
    let statements = loops(
      runs.map(\.run), stage(unit.stages[0]).extents, vector: vector?.run, lanes: vector?.lanes ?? 1
    ) { own in
      var inside = outer
      let axes = inside.shared + own
      var values: [Int: Scalar] = [:]
      for number in unit.stages {
        guard case .map(let root) = stage(number).kind else { preconditionFailure("not a map") }
        values[number] =
          lowering.translate([root], axes: axes) { [place = inside] in
            intermediate($0, $1, $2, place, values)
          }[0]
      }
      let kept = keep(unit.stages.map { ($0, values[$0]!) }, axes: axes, &inside)
      registers = inside.registers
      return kept
    }
    place.registers = registers
    return statements
  }

  func reductions(_ unit: StageUnit, _ place: inout Place) -> [NestStatement] {
    let runs = lowering.accesses.ownRuns(unit.stages.map { stage($0) }, shared: group.shared)
    let vector = vectorRun(unit, runs)
    let results = runs.indices.filter { !runs[$0].isReduced }
    let reduced = runs.indices.filter { runs[$0].isReduced }
    let isOverReduced = vector.map { runs[$0.run].isReduced } ?? false
    var registers = place.registers
    let outer = place
    let statements = loops(
      results.map { runs[$0].run }, stage(unit.stages[0]).extents,
      vector: isOverReduced ? nil : vector.flatMap { results.firstIndex(of: $0.run) }, lanes: vector?.lanes ?? 1
    ) { own in
      var inside = outer
      let axes = inside.shared + own
      var order = reduced
      if isOverReduced, let vector {
        order.removeAll { $0 == vector.run }
        order.append(vector.run)
      }
      let (statement, finished) = reduction(
        unit, axes, order.map { runs[$0].run }, lanes: isOverReduced ? vector?.lanes ?? 1 : 1, inside)
      let kept = keep(finished, axes: axes, &inside)
      registers = inside.registers
      return [statement] + kept
    }
    place.registers = registers
    return statements
  }

  /// The reductions of a unit as one, with the components of all states side by side and equal ones once, and the finished
  /// value of each stage.
  private func reduction(
    _ unit: StageUnit, _ axes: [Scalar], _ runs: [Range<Int>], lanes: Int, _ place: Place
  ) -> (NestStatement, [(stage: Int, value: Scalar)]) {
    let domain = lowering.accesses.domain(of: stage(unit.stages[0]))
    var loops = runs.map { run in
      let extent = domain[run].reduce(1, *)
      return (extent: extent, axis: lowering.nest.axis(extent))
    }
    if loops.isEmpty { loops.append((1, lowering.nest.axis(1))) }
    var all = axes + Array(repeating: axes.first ?? lowering.nest.scalars.integer(0), count: domain.count - axes.count)
    for (loop, run) in zip(loops, runs) {
      for (axis, index) in zip(run, lowering.nest.indices(loop.axis.value, Array(domain[run]))) { all[axis] = index }
    }
    var result = NestReduction(
      loops: loops.map { NestReduction.Loop(axis: $0.axis.number, extent: $0.extent) }, lanes: 1, interleave: 1,
      registers: [], initial: [], step: [], merge: [])
    var known: [[ScalarID]: Int] = [:]
    var finished: [(stage: Int, value: Scalar)] = []
    func translate(_ roots: [ScalarID], axes: [Scalar], states: [Scalar], others: [Scalar] = []) -> [Scalar] {
      lowering.translate(roots, axes: axes, states: states, others: others) { intermediate($0, $1, $2, place, [:]) }
    }
    for number in unit.stages {
      guard case .reduce(let reduction) = stage(number).kind else { preconditionFailure("not a reduction") }
      let key = reduction.initial + reduction.step + reduction.merge
      let types = reduction.initial.map { lowering.program.scalars.type(of: $0) }
      var first = result.registers.count
      if let earlier = known[key] {
        first = earlier
      } else {
        known[key] = first
        let states = types.enumerated().map { lowering.nest.scalars.state(first + $0, $1) }
        let others = types.enumerated().map { lowering.nest.scalars.other(first + $0, $1) }
        result.initial += translate(reduction.initial, axes: axes, states: []).map(\.id)
        result.step += translate(reduction.step, axes: all, states: states).map(\.id)
        result.merge += translate(reduction.merge, axes: axes, states: states, others: others).map(\.id)
        result.registers += types.map { lowering.nest.register($0) }
      }
      let final = types.indices.map { lowering.nest.read(result.registers[first + $0]) }
      finished.append((number, translate([reduction.finish], axes: axes, states: final)[0]))
    }
    let extent = loops.last?.extent ?? 1
    result.lanes = lanesFitting(lanes, max(1, extent))
    if result.lanes > 1 {
      // As many states in flight as hide the latency of a step, unless too few iterations would share them.
      let most = result.registers.count > 2 ? 2 : 4
      while result.interleave < most, extent >= 2 * result.interleave * result.lanes { result.interleave *= 2 }
    }
    cutIntoBlocks(&result)
    return (.reduce(result), finished)
  }

  /// Cuts the loops of a reduction that rounds into blocks where its states take many steps: n terms of like size lose up
  /// to n units in the last place one after the other, and b + n / b in blocks of b.
  ///
  /// Source: N. J. Higham, "The accuracy of floating point summation", SIAM J. Sci. Comput. 14 (1993).
  private func cutIntoBlocks(_ reduction: inout NestReduction) {
    let merge = lowering.nest.scalars.arena.reachable(from: reduction.merge).map { lowering.nest.scalars.arena[$0] }
    guard merge.contains(where: { $0.type.isFloatingPoint && $0.operation.isRounded }) else { return }
    /// The steps of a state in one iteration of the loop.
    var steps = 1
    for number in reduction.loops.indices.reversed() {
      let isInnermost = number + 1 == reduction.loops.count
      let unit = isInnermost ? reduction.lanes * reduction.interleave : 1
      let iterations = reduction.loops[number].extent / unit
      let all = multipliedSaturating(iterations, steps)
      guard all >= 2 * Self.fewestBlockSteps else {
        steps = max(1, all)
        continue
      }
      let wanted = max(Self.fewestBlockSteps, Int(Double(all).squareRoot()))
      let block = max(1, wanted / steps)
      if block < iterations { reduction.loops[number].block = block * unit }
      steps = (iterations + block - 1) / block
    }
  }

  /// So many steps hide what it costs to leave their loop and to merge their states.
  private static let fewestBlockSteps = 64
}
