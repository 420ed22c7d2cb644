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
    let end = count(along: nested.axis)
    if number + 1 < reduction.loops.count {
      if end == nil, nested.extent == 1 {
        return serial(nested.axis, 1, mutating: ResourceSet(), carrying: carried) {
          run(reduction, loop: number + 1, carrying: $0)
        }
      }
      return blocks(
        reduction, nested, to: end ?? ir.int(nested.extent), known: end == nil ? nested.extent : nil, step: 1,
        carrying: carried
      ) { first, carried in
        axes[nested.axis] = RowValue(value: first, form: .uniform, level: level)
        return run(reduction, loop: number + 1, carrying: carried)
      }
    }
    let group = reduction.lanes * reduction.interleave
    if let end { return run(reduction, nested, over: stretches(of: end, by: group), carrying: carried) }
    let whole = nested.extent / group * group
    var current = carried
    if whole > group {
      current = groups(reduction, nested, to: ir.int(whole), known: whole, carrying: current)
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

  /// The innermost loop where its extent is known only at run time: what is left of it may be any number of groups of lanes.
  private func run(
    _ reduction: NestReduction, _ nested: NestReduction.Loop, over stretches: Stretches, carrying carried: [IRValue]
  ) -> [IRValue] {
    let (lanes, group) = (reduction.lanes, reduction.lanes * reduction.interleave)
    if group == 1 { return groups(reduction, nested, to: stretches.whole, known: nil, carrying: carried) }
    var current = when(stretches.hasWhole, mutating: ResourceSet(), carrying: carried) {
      groups(reduction, nested, to: stretches.whole, known: nil, carrying: $0)
    }
    for g in 0..<reduction.interleave {
      let rest = emit(at: 0) { ir.sub(stretches.rest, ir.int(g * lanes)) }
      let isLeft = emit(at: 0) { ir.compare(martlet_llvm_int_sgt, rest, ir.int(0)) }
      let mask = lanes == 1 ? nil : emit(at: 0) { lanesBelow(rest, lanes) }
      current = when(isLeft, mutating: ResourceSet(), carrying: current) { carried in
        var next = carried
        step(
          reduction, nested.axis, from: stretches.whole, plus: g * lanes, divisor: group, group: g, mask: mask, &next)
        return next
      }
    }
    return current
  }

  /// The innermost loop over whole groups of states.
  private func groups(
    _ reduction: NestReduction, _ nested: NestReduction.Loop, to end: IRValue, known: Int?, carrying carried: [IRValue]
  ) -> [IRValue] {
    let group = reduction.lanes * reduction.interleave
    return blocks(reduction, nested, to: end, known: known, step: group, carrying: carried) { first, carried in
      var next = carried
      for g in 0..<reduction.interleave {
        step(reduction, nested.axis, from: first, plus: g * reduction.lanes, divisor: group, group: g, &next)
      }
      return next
    }
  }

  /// A loop over `0 ..< extent` by `step`, in blocks that start from the initial states where it has such.
  ///
  /// - Parameter known: the extent, if it is known; else it is more than a block.
  private func blocks(
    _ reduction: NestReduction, _ nested: NestReduction.Loop, to extent: IRValue, known: Int?, step: Int,
    carrying carried: [IRValue], _ body: (IRValue, [IRValue]) -> [IRValue]
  ) -> [IRValue] {
    guard let length = nested.block, known.map({ length < $0 }) ?? true else {
      return loop(from: ir.int(0), to: extent, step: step, mutating: ResourceSet(), carrying: carried, body)
    }
    let blockParameter = parametric.blocks[nested.axis]
    let block = blockParameter.map { number in emit(at: 0) { parameter(number: number) } } ?? ir.int(length)
    let initial = reduction.initial.flatMap { Array(repeating: vector($0), count: reduction.interleave) }
    return loop(from: ir.int(0), to: extent, by: block, mutating: ResourceSet(), carrying: carried) {
      first, around in
      let end = emit(at: level) {
        let full = ir.add(first, block)
        return ir.select(ir.compare(martlet_llvm_int_slt, full, extent), full, extent)
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
    active: Int? = nil, mask: IRValue? = nil, _ accumulators: inout [IRValue]
  ) {
    let old = reduction.registers.indices.map { accumulators[$0 * reduction.interleave + group] }
    let isPartial = mask != nil || (active ?? reduction.lanes) < reduction.lanes
    let (outerLanes, outerMask) = (partialLanes, partialMask)
    let next = scope {
      let number = offset == 0 ? first : emit(at: level) { ir.add(first, ir.int(offset)) }
      if reduction.lanes > 1 {
        bind(axis, toLanesFrom: number, divisor: Int64(offset == 0 ? divisor : reduction.lanes))
      } else {
        axes[axis] = RowValue(value: number, form: .uniform, level: level)
      }
      if isPartial { (partialLanes, partialMask) = (active, mask) }
      defer { (partialLanes, partialMask) = (outerLanes, outerMask) }
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
