import MartletTensors

extension StageProgram {
  /// The program with `float32` in the place of each array of 16-bit floats that only stages read and that arithmetic
  /// computes: it is rounded where the program's results are stored, not on the way.
  func widened() -> StageProgram {
    guard stages.contains(where: \.result.elementType.isHalf) else { return self }
    var isOutput = [Bool](repeating: false, count: stages.count)
    for case .stage(let i) in outputs { isOutput[i] = true }
    let isWidened = stages.indices.map { !isOutput[$0] && isRelaxed(stages[$0]) }
    guard isWidened.contains(true) else { return self }
    var builder = ScalarBuilder()
    var result: [Stage] = []
    for (i, stage) in stages.enumerated() {
      builder.axisExtents = stage.axisExtents
      let axes = stage.axisExtents.indices.map { builder.axis($0) }
      var roots = builder.copy(stage.roots, from: scalars, axes: axes) { b, row, indices, condition in
        let source = Source(payload: row.payload)
        guard case .stage(let read) = source, isWidened[read] else {
          return b.load(source, row.type, at: indices, if: condition)
        }
        return b.narrow(b.load(source, row.type.arithmeticType, at: indices, if: condition), to: row.type)
      }
      var stage = stage
      if isWidened[i] {
        // A map has one root, and a reduction's last one is what is stored.
        roots[roots.count - 1] = builder.widen(roots[roots.count - 1])
        stage.result.elementType = stage.result.elementType.arithmeticType
      }
      result.append(stage.replacingRoots(roots.map(\.id)))
    }
    return StageProgram(scalars: builder.arena, inputs: inputs, stages: result, outputs: outputs)
  }

  /// Whether what a stage stores is arithmetic's result, which nobody asked to have rounded.
  private func isRelaxed(_ stage: Stage) -> Bool {
    let stored: ScalarID
    switch stage.kind {
    case .map(let value): stored = value
    case .reduce(let reduction): stored = reduction.finish
    case .scan, .scatter: return false
    }
    return scalars[stored].isRelaxedCast
  }

  /// The program with each result of 16-bit floats rounded in earnest: other programs that it is put together with read
  /// what stands in memory, had it been stored.
  public func rounding() -> StageProgram {
    guard outputs.contains(where: { type(of: $0).elementType.isHalf }) else { return self }
    var program = self
    for case .stage(let i) in outputs where isRelaxed(stages[i]) {
      var roots = stages[i].roots
      var row = program.scalars[roots[roots.count - 1]]
      row.payload = 0
      roots[roots.count - 1] = program.scalars.intern(row)
      program.stages[i] = stages[i].replacingRoots(roots)
    }
    return program
  }
}
