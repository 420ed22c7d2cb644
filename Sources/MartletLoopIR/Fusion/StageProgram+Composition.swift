import MartletTensors

extension StageProgram {
  /// Where an input of a part, or an output of the whole, comes from.
  public enum Wire: Hashable, Sendable {
    /// The whole program's input of this number.
    case input(Int)
    case part(Int, output: Int)
  }

  /// A program within a composed one.
  public struct Part: Sendable {
    public var program: StageProgram
    /// For each input of the program, an input of the whole or an output of an earlier part.
    public var inputs: [Wire]
    public init(program: StageProgram, inputs: [Wire]) { (self.program, self.inputs) = (program, inputs) }
  }

  /// One program that does what the parts do, one after the other. Nothing is fused yet: see `fused()`. What one part
  /// computes for another in 16-bit floats stays in `float32`; a part's `rounding()` is rounded.
  ///
  /// - Complexity: linear in the rows of all parts.
  public static func composed(_ parts: [Part], inputs: [BufferType], outputs: [Wire]) -> StageProgram {
    var builder = ScalarBuilder()
    var stages: [Stage] = []
    var sources: [[Source]] = []
    func source(_ wire: Wire) -> Source {
      switch wire {
      case .input(let i): .input(i)
      case .part(let p, let output): sources[p][output]
      }
    }
    for part in parts {
      let first = stages.count
      func moved(_ old: Source) -> Source {
        switch old {
        case .input(let i): source(part.inputs[i])
        case .stage(let i): .stage(first + i)
        }
      }
      for stage in part.program.stages {
        builder.axisExtents = stage.axisExtents
        let axes = stage.axisExtents.indices.map { builder.axis($0) }
        let copies = builder.copy(stage.roots, from: part.program.scalars, axes: axes) { b, row, indices, condition in
          b.load(moved(Source(payload: row.payload)), row.type, at: indices, if: condition)
        }
        stages.append(stage.replacingRoots(copies.map(\.id)))
      }
      sources.append(part.program.outputs.map(moved))
    }
    return StageProgram(scalars: builder.arena, inputs: inputs, stages: stages, outputs: outputs.map(source)).widened()
  }
}

extension Stage {
  /// The extents of the axes that scalars of the stage see, by number; of a scatter, whose updates have axes of their own,
  /// the greater.
  var axisExtents: [Int] {
    switch kind {
    case .map, .scan: return extents
    case .reduce(let reduction): return extents + reduction.extents
    case .scatter(let scatter):
      let count = max(extents.count, scatter.updateExtents.count)
      func extent(_ all: [Int], _ axis: Int) -> Int { all.indices.contains(axis) ? all[axis] : 0 }
      return (0..<count).map { max(extent(extents, $0), extent(scatter.updateExtents, $0)) }
    }
  }

  /// The stage with other scalars in the order of `roots`.
  func replacingRoots(_ new: [ScalarID]) -> Stage {
    var stage = self
    switch kind {
    case .map: stage.kind = .map(new[0])
    case .reduce(var reduction):
      let count = reduction.initial.count
      reduction.initial = Array(new[0..<count])
      reduction.step = Array(new[count..<2 * count])
      reduction.merge = Array(new[2 * count..<3 * count])
      reduction.finish = new[3 * count]
      stage.kind = .reduce(reduction)
    case .scan(var scan):
      (scan.initial, scan.step) = (new[0], new[1])
      stage.kind = .scan(scan)
    case .scatter(var scatter):
      scatter.initial = new[0]
      scatter.position = Array(new[1..<new.count - 1])
      scatter.combine = new[new.count - 1]
      stage.kind = .scatter(scatter)
    }
    return stage
  }
}
