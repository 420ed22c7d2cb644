import CMartletRuntime
import MartletLoopIR

extension FunctionEmitter {
  /// Emits a reduction: its states as values that the loops carry, then their merge, then the registers.
  ///
  /// State number g · lanes + l of component c is lane l of `accumulators[c][g]`; inside a vector loop, where the
  /// reduction itself has one lane, an accumulator is a vector of that loop's lanes.
  func emit(_ reduction: NestReduction) {
    precondition(reduction.lanes == 1 || lanes == 1, "a reduction with lanes stands inside a vector loop")
    let outerLanes = lanes
    if reduction.lanes > 1 { lanes = reduction.lanes }
    var accumulators = reduction.initial.map { initial in
      Array(repeating: vector(initial), count: reduction.interleave)
    }
    if !reduction.loops.contains(where: { $0.extent <= 0 }) {
      let flat = run(reduction, loop: 0, carrying: accumulators.flatMap { $0 })
      accumulators = split(flat, reduction.interleave)
    }
    let final = merge(reduction, accumulators)
    lanes = outerLanes
    for (register, value) in zip(reduction.registers, final) {
      let address = registerAddress(register, lanes: lanes)
      emit(at: level) { ir.store(value, address, alignment: 1) }
      assignments[register] = (lanes, level)
      forget(.register(register))
    }
  }

  private func split(_ flat: [IRValue], _ interleave: Int) -> [[IRValue]] {
    stride(from: 0, to: flat.count, by: interleave).map { Array(flat[$0..<$0 + interleave]) }
  }

  /// Runs loop number `loop` and those inside it; takes and returns all accumulators, one component after the other.
  private func run(_ reduction: NestReduction, loop number: Int, carrying carried: [IRValue]) -> [IRValue] {
    let nested = reduction.loops[number]
    if number + 1 < reduction.loops.count {
      if nested.extent == 1 {
        return serial(nested.axis, 1, mutating: ResourceSet(), carrying: carried) {
          run(reduction, loop: number + 1, carrying: $0)
        }
      }
      return blocks(reduction, nested, to: nested.extent, step: 1, carrying: carried) { first, carried in
        axes[nested.axis] = RowValue(value: first, form: .uniform, level: level)
        return run(reduction, loop: number + 1, carrying: carried)
      }
    }
    let group = reduction.lanes * reduction.interleave
    let whole = nested.extent / group * group
    var current = carried
    if whole > group {
      current = blocks(reduction, nested, to: whole, step: group, carrying: current) { first, carried in
        var next = carried
        for g in 0..<reduction.interleave {
          step(reduction, nested.axis, from: first, plus: g * reduction.lanes, divisor: group, group: g, &next)
        }
        return next
      }
    } else if whole == group {
      for g in 0..<reduction.interleave {
        step(reduction, nested.axis, from: ir.int(0), plus: g * reduction.lanes, divisor: 0, group: g, &current)
      }
    }
    var (first, g) = (whole, 0)
    while first < nested.extent {
      let active = min(reduction.lanes, nested.extent - first)
      step(reduction, nested.axis, from: ir.int(first), plus: 0, divisor: first, group: g, active: active, &current)
      first += reduction.lanes
      g += 1
    }
    return current
  }

  /// A loop over `0 ..< extent` by `step`, in blocks that start from the initial states where it has such.
  private func blocks(
    _ reduction: NestReduction, _ nested: NestReduction.Loop, to extent: Int, step: Int, carrying carried: [IRValue],
    _ body: (IRValue, [IRValue]) -> [IRValue]
  ) -> [IRValue] {
    guard let block = nested.block, block < extent else {
      return loop(from: ir.int(0), to: ir.int(extent), step: step, mutating: ResourceSet(), carrying: carried, body)
    }
    let initial = reduction.initial.flatMap { Array(repeating: vector($0), count: reduction.interleave) }
    return loop(from: ir.int(0), to: ir.int(extent), step: block, mutating: ResourceSet(), carrying: carried) {
      first, around in
      let end = emit(at: level) {
        let full = ir.add(first, ir.int(block))
        return ir.select(ir.compare(martlet_llvm_int_slt, full, ir.int(extent)), full, ir.int(extent))
      }
      let inner = loop(from: first, to: end, step: step, mutating: ResourceSet(), carrying: initial, body)
      var next = around
      for g in 0..<reduction.interleave {
        let places = reduction.registers.indices.map { $0 * reduction.interleave + g }
        let merged = merged(reduction, places.map { around[$0] }, places.map { inner[$0] })
        for (place, value) in zip(places, merged) { next[place] = value }
      }
      return next
    }
  }

  /// Steps the states of one group of lanes, at iterations `first + offset` and those after it.
  private func step(
    _ reduction: NestReduction, _ axis: Int, from first: IRValue, plus offset: Int, divisor: Int, group: Int,
    active: Int? = nil, _ accumulators: inout [IRValue]
  ) {
    let old = reduction.registers.indices.map { accumulators[$0 * reduction.interleave + group] }
    let isPartial = (active ?? reduction.lanes) < reduction.lanes
    let outerLanes = partialLanes
    let next = scope {
      let number = offset == 0 ? first : emit(at: level) { ir.add(first, ir.int(offset)) }
      if reduction.lanes > 1 {
        bind(axis, toLanesFrom: number, divisor: Int64(offset == 0 ? divisor : reduction.lanes))
      } else {
        axes[axis] = RowValue(value: number, form: .uniform, level: level)
      }
      if isPartial { partialLanes = active }
      defer { partialLanes = outerLanes }
      states = bound(old)
      let stepped = reduction.step.map { vector($0) }
      guard isPartial, let activeMask else { return stepped }
      return emit(at: level) { zip(stepped, old).map { ir.select(activeMask, $0, $1) } }
    }
    for (component, value) in next.enumerated() { accumulators[component * reduction.interleave + group] = value }
  }

  /// Values as the states that step and merge see.
  private func bound(_ values: [IRValue]) -> [RowValue] {
    values.map { RowValue(value: $0, form: lanes == 1 ? .uniform : .vector, level: level) }
  }

  /// Merges all states, halving their number each time; returns each component of the last.
  private func merge(_ reduction: NestReduction, _ accumulators: [[IRValue]]) -> [IRValue] {
    var accumulators = accumulators
    var groups = reduction.interleave
    precondition(
      reduction.lanes == 1 || groups & (groups - 1) == 0, "a reduction with lanes interleaves a power of two")
    while groups > 1 {
      let half = (groups + 1) / 2
      for g in 0..<groups - half {
        let merged = merged(reduction, accumulators.map { $0[g] }, accumulators.map { $0[g + half] })
        for component in accumulators.indices { accumulators[component][g] = merged[component] }
      }
      groups = half
    }
    var current = accumulators.map { $0[0] }
    guard reduction.lanes > 1 else { return current }
    while lanes > 1 {
      let half = lanes / 2
      let parts = emit(at: level) {
        current.map { (halved($0, from: 0, half), halved($0, from: half, half)) }
      }
      lanes = half
      current = merged(reduction, parts.map(\.0), parts.map(\.1))
    }
    return current
  }

  private func halved(_ value: IRValue, from first: Int, _ count: Int) -> IRValue {
    count == 1 ? ir.extract(value, first) : ir.shuffle(value, value, Array(first..<first + count))
  }

  private func merged(_ reduction: NestReduction, _ x: [IRValue], _ y: [IRValue]) -> [IRValue] {
    scope {
      states = bound(x)
      others = bound(y)
      return reduction.merge.map { vector($0) }
    }
  }
}
