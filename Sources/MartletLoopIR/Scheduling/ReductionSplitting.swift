import MartletTensors

extension StageProgram {
  /// Runs reductions in parts: for a stage and one of its reduced axes, partial stages reduce `chunks` equal stretches of
  /// the axis (and one more the rest of it), and a last stage merges their states in order.
  ///
  /// Each component of the state has a partial stage of its own; lowering computes those of one reduction together.
  func splitting(_ splits: [Schedule.Split]) -> StageProgram {
    if splits.isEmpty { return self }
    var splitter = ReductionSplitter(self)
    for (number, stage) in stages.enumerated() {
      if let split = splits.first(where: { $0.stage == number }), case .reduce(let reduction) = stage.kind {
        splitter.split(stage, reduction, axis: split.axis, chunks: split.chunks)
      } else {
        splitter.keep(stage)
      }
    }
    return splitter.program(outputs: outputs)
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
    var stage = stage
    builder.axisExtents = stage.extents
    switch stage.kind {
    case .map(let value): stage.kind = .map(copy([value], axes: axes(stage.extents.count))[0])
    case .reduce(var reduction):
      builder.axisExtents = stage.extents + reduction.extents
      let all = axes(stage.extents.count + reduction.extents.count)
      reduction.initial = copy(reduction.initial, axes: all)
      reduction.step = copy(reduction.step, axes: all)
      reduction.merge = copy(reduction.merge, axes: all)
      reduction.finish = copy([reduction.finish], axes: all)[0]
      stage.kind = .reduce(reduction)
    case .scan(var scan):
      let all = axes(stage.extents.count)
      scan.initial = copy([scan.initial], axes: all)[0]
      scan.step = copy([scan.step], axes: all)[0]
      stage.kind = .scan(scan)
    case .scatter(var scatter):
      scatter.initial = copy([scatter.initial], axes: axes(stage.extents.count))[0]
      builder.axisExtents = scatter.updateExtents
      let all = axes(scatter.updateExtents.count)
      scatter.position = copy(scatter.position, axes: all)
      scatter.combine = copy([scatter.combine], axes: all)[0]
      stage.kind = .scatter(scatter)
    }
    stages.append(stage)
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
