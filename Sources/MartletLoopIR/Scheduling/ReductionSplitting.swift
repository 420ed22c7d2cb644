import MartletTensors

extension StageProgram {
  /// Runs reductions in parts: for a stage and one of its reduced axes, partial stages reduce `chunks` equal stretches of
  /// the axis (and one more the rest of it), and a last stage merges their states in order.
  ///
  /// Each component of the state has a partial stage of its own; lowering computes those of one reduction together. The
  /// stages are put in an order in which those over the same domain stand side by side, as far as their uses allow.
  package func splitting(_ splits: [Schedule.Split]) -> StageProgram {
    var program = self
    if !splits.isEmpty {
      var splitter = ReductionSplitter(self)
      for (number, stage) in stages.enumerated() {
        if let split = splits.first(where: { $0.stage == number }), case .reduce(let reduction) = stage.kind {
          splitter.split(stage, reduction, axis: split.axis, chunks: split.chunks)
        } else {
          splitter.keep(stage)
        }
      }
      program = splitter.program(outputs: outputs)
    }
    return program.reordered(program.siblingOrder())
  }

  /// An order of the stages in which each follows what it loads, and one over the same domain as the last comes first.
  private func siblingOrder() -> [Int] {
    let accesses = StageAccesses(self)
    var waiting: [Set<Int>] = stages.map { stage in
      Set(
        accesses.loads(stage.roots).compactMap {
          if case .stage(let source) = Source(payload: scalars[$0].payload) { source } else { nil }
        })
    }
    var order: [Int] = []
    var left = Array(stages.indices)
    while !left.isEmpty {
      let ready = left.filter { waiting[$0].isEmpty }
      let sibling = ready.first { number in
        guard let last = order.last else { return false }
        return stages[last].isSibling(of: stages[number], accesses)
      }
      let next = sibling ?? ready[0]
      order.append(next)
      left.removeAll { $0 == next }
      for number in left { waiting[number].remove(next) }
    }
    return order
  }

  /// The same program with its stages in another order, which must keep each after what it loads.
  private func reordered(_ order: [Int]) -> StageProgram {
    if order == Array(stages.indices) { return self }
    var numbers = order
    for (new, old) in order.enumerated() { numbers[old] = new }
    func moved(_ source: Source) -> Source { if case .stage(let i) = source { .stage(numbers[i]) } else { source } }
    var builder = ScalarBuilder()
    var result: [Stage] = []
    for old in order {
      let stage = stages[old]
      builder.axisExtents = stage.axisExtents
      let axes = stage.axisExtents.indices.map { builder.axis($0) }
      let copies = builder.copy(stage.roots, from: scalars, axes: axes) { b, row, indices, condition in
        b.load(moved(Source(payload: row.payload)), row.type, at: indices, if: condition)
      }
      result.append(stage.replacingRoots(copies.map(\.id)))
    }
    return StageProgram(scalars: builder.arena, inputs: inputs, stages: result, outputs: outputs.map(moved))
  }
}

extension Stage {
  /// Whether both are maps, or both reductions, over the same domain.
  fileprivate func isSibling(of other: Stage, _ accesses: StageAccesses) -> Bool {
    switch (kind, other.kind) {
    case (.map, .map): extents == other.extents
    case (.reduce, .reduce): extents == other.extents && accesses.domain(of: self) == accesses.domain(of: other)
    default: false
    }
  }
}

private struct ReductionSplitter {
  let original: StageProgram
  private var builder = ScalarBuilder()
  private var stages: [Stage] = []
  /// The new number of each stage so far.
  private var numbers: [Int] = []

  init(_ original: StageProgram) { self.original = original }

  func program(outputs: [Source]) -> StageProgram {
    StageProgram(
      scalars: builder.arena, inputs: original.inputs, stages: stages,
      outputs: outputs.map { if case .stage(let i) = $0 { .stage(numbers[i]) } else { $0 } })
  }

  private mutating func copy(_ roots: [ScalarID], axes: [Scalar]) -> [ScalarID] {
    let numbers = numbers
    return builder.copy(roots, from: original.scalars, axes: axes) { b, row, indices, condition in
      var source = Source(payload: row.payload)
      if case .stage(let i) = source { source = .stage(numbers[i]) }
      return b.load(source, row.type, at: indices, if: condition)
    }.map(\.id)
  }

  private mutating func axes(_ count: Int) -> [Scalar] { (0..<count).map { builder.axis($0) } }

  mutating func keep(_ stage: Stage) {
    builder.axisExtents = stage.axisExtents
    stages.append(stage.replacingRoots(copy(stage.roots, axes: axes(stage.axisExtents.count))))
    numbers.append(stages.count - 1)
  }

  mutating func split(_ stage: Stage, _ reduction: Reduction, axis: Int, chunks: Int) {
    let rank = stage.extents.count
    let extent = reduction.extents[axis]
    let length = extent / chunks
    let rest = extent - chunks * length
    let types = reduction.initial.map { original.scalars.type(of: $0) }

    /// Adds a stage a component over `outer` and the result's axes, for `count` positions of the cut axis.
    func partial(_ splitter: inout ReductionSplitter, outer: [Int], count: Int, from start: Int) -> [Int] {
      var extents = reduction.extents
      extents[axis] = count
      splitter.builder.axisExtents = outer + stage.extents + extents
      var all = splitter.axes(outer.count + rank + extents.count)
      let chunk = outer.isEmpty ? nil : all.removeFirst()
      let position = all[rank + axis]
      all[rank + axis] = splitter.builder.sum(
        [(position, 1)] + (chunk.map { [($0, length)] } ?? []), plus: start)
      let initial = splitter.copy(reduction.initial, axes: all)
      let step = splitter.copy(reduction.step, axes: all)
      let merge = splitter.copy(reduction.merge, axes: all)
      return types.enumerated().map { component, type in
        let finish = splitter.builder.state(component, type).id
        splitter.stages.append(
          Stage(
            name: stage.name + (outer.isEmpty ? ".rest" : ".part"), result: BufferType(type, outer + stage.extents),
            kind: .reduce(Reduction(extents: extents, initial: initial, step: step, merge: merge, finish: finish))))
        return splitter.stages.count - 1
      }
    }

    let parts = partial(&self, outer: [chunks], count: length, from: 0)
    let remainder = rest > 0 ? partial(&self, outer: [], count: rest, from: chunks * length) : []
    let count = chunks + (rest > 0 ? 1 : 0)
    builder.axisExtents = stage.extents + [count]
    let all = axes(rank + 1)
    let (own, part) = (Array(all.prefix(rank)), all[rank])
    let states = types.enumerated().map { component, type in
      let isPart = builder.less(part, builder.integer(chunks))
      let value = builder.load(.stage(parts[component]), type, at: [part] + own, if: rest > 0 ? isPart : nil)
      if rest == 0 { return value }
      let last = builder.load(.stage(remainder[component]), type, at: own, if: builder.not(isPart))
      return builder.select(isPart, value, last)
    }
    let initial = copy(reduction.initial, axes: own)
    let merge = copy(reduction.merge, axes: own)
    let step = builder.copy(
      reduction.merge, from: original.scalars, axes: own, others: states
    ) { _, _, _, _ in preconditionFailure("a merge that loads") }.map(\.id)
    let finish = copy([reduction.finish], axes: own)[0]
    stages.append(
      Stage(
        name: stage.name, result: stage.result,
        kind: .reduce(
          Reduction(extents: [count], initial: initial, step: step, merge: merge, finish: finish))))
    numbers.append(stages.count - 1)
  }
}
