import MartletLoopIR
import MartletTensors
import Testing

/// A chain of random operations, each a program of its own, composed and fused.
private struct RandomProgram {
  var random: SplitMix
  var parts: [StageProgram.Part] = []
  var values: [(wire: StageProgram.Wire, extents: [Int])]
  let inputs: [BufferType]

  init(seed: UInt64) {
    random = SplitMix(seed: seed)
    inputs = [BufferType(.float32, [3, 4]), BufferType(.float32, [4]), BufferType(.float32, [3, 1])]
    values = inputs.enumerated().map { (.input($0), $1.extents) }
    for _ in 0..<8 { step() }
  }

  private mutating func step() {
    let (x, extents) = values[Int.random(in: 0..<values.count, using: &random)]
    switch Int.random(in: 0..<6, using: &random) {
    case 0:
      add([x], [extents], extents) { b, axes in b.exp(b.negate(b.absolute(b.load(.input(0), .float32, at: axes)))) }
    case 1:
      let other = values.last { $0.extents == extents } ?? (x, extents)
      add([x, other.wire], [extents, extents], extents) { b, axes in
        b.add(b.load(.input(0), .float32, at: axes), b.load(.input(1), .float32, at: axes))
      }
    case 2:
      // The axes in reverse order.
      add([x], [extents], extents.reversed()) { b, axes in b.load(.input(0), .float32, at: axes.reversed()) }
    case 3:
      // One element of padding at both ends of the last axis.
      guard let last = extents.last, extents.count < 4 else { return }
      add([x], [extents], extents.dropLast() + [last + 2]) { b, axes in
        let index = b.subtract(axes[axes.count - 1], b.integer(1))
        let inside = b.and(b.lessEqual(b.integer(0), index), b.less(index, b.integer(last)))
        return b.load(.input(0), .float32, at: axes.dropLast() + [index], if: inside)
      }
    case 4:
      guard extents.count > 1 else { return }
      reduce(x, extents)
    default:
      // A broadcast along a new leading axis.
      guard extents.count < 3 else { return }
      add([x], [extents], [2] + extents) { b, axes in b.load(.input(0), .float32, at: Array(axes.dropFirst())) }
    }
  }

  private mutating func add(
    _ wires: [StageProgram.Wire], _ inputs: [[Int]], _ extents: [Int],
    _ body: (inout ScalarBuilder, [Scalar]) -> Scalar
  ) {
    var b = StageBuilder(inputs: inputs.map { BufferType(.float32, $0) })
    let stage = b.map("map", .float32, extents, body)
    append(b.finish([stage]), wires, extents)
  }

  private mutating func reduce(_ x: StageProgram.Wire, _ extents: [Int]) {
    var b = StageBuilder(inputs: [BufferType(.float32, extents)])
    let kept = Array(extents.dropLast())
    let stage = b.reduce("sum", .float32, kept, over: [extents[extents.count - 1]], .sum) { b, axes, reduced in
      b.load(.input(0), .float32, at: axes + reduced)
    }
    append(b.finish([stage]), [x], kept)
  }

  private mutating func append(_ program: StageProgram, _ wires: [StageProgram.Wire], _ extents: [Int]) {
    values.append((.part(parts.count, output: 0), extents))
    parts.append(StageProgram.Part(program: program, inputs: wires))
  }

  var composed: StageProgram {
    StageProgram.composed(parts, inputs: inputs, outputs: values.suffix(2).map(\.wire))
  }
}

@Suite struct FusionTests {
  @Test(arguments: 0..<150) func fusedProgramsComputeTheSame(seed: Int) throws {
    let program = RandomProgram(seed: UInt64(seed)).composed
    var random = SplitMix(seed: UInt64(seed) &+ 1000)
    let inputs = program.inputs.map { type in
      Tensor((0..<type.elementCount).map { _ in Float.random(in: -2...2, using: &random) }, shape: type.extents)
    }
    let fused = program.fused()
    let expected = try program.interpret(inputs: inputs)
    let found = try fused.interpret(inputs: inputs)
    #expect(found == expected, "seed \(seed)\n\(program)\n\(fused)")
    #expect(fused.stages.count <= program.stages.count)
  }

  /// A chain of maps is one stage.
  @Test func chainsBecomeOneStage() {
    let type = BufferType(.float32, [5])
    var parts: [StageProgram.Part] = []
    for i in 0..<6 {
      var b = StageBuilder(inputs: [type])
      let stage = b.map("exp", .float32, [5]) { b, axes in b.exp(b.load(.input(0), .float32, at: axes)) }
      parts.append(.init(program: b.finish([stage]), inputs: [i == 0 ? .input(0) : .part(i - 1, output: 0)]))
    }
    let fused = StageProgram.composed(parts, inputs: [type], outputs: [.part(5, output: 0)]).fused()
    #expect(fused.stages.count == 1)
    // Six exponentials, the axis and the load.
    #expect(fused.scalars.count == 8)
  }

  /// What follows a reduction element by element becomes its finish.
  @Test func mapsFinishReductions() {
    let type = BufferType(.float32, [3, 4])
    var sum = StageBuilder(inputs: [type])
    let total = sum.reduce("sum", .float32, [3, 1], over: [4], .sum) { b, axes, reduced in
      b.load(.input(0), .float32, at: [axes[0], reduced[0]])
    }
    var root = StageBuilder(inputs: [BufferType(.float32, [3, 1])])
    let rooted = root.map("sqrt", .float32, [3]) { b, axes in
      b.sqrt(b.load(.input(0), .float32, at: [axes[0], b.integer(0)]))
    }
    let fused = StageProgram.composed(
      [
        .init(program: sum.finish([total]), inputs: [.input(0)]),
        .init(program: root.finish([rooted]), inputs: [.part(0, output: 0)]),
      ], inputs: [type], outputs: [.part(1, output: 0)]
    ).fused()
    #expect(fused.stages.count == 1)
    #expect(fused.stages[0].name == "sum+sqrt")
  }

  /// An exponential that a broadcast would repeat stays a stage of its own.
  @Test func costlyMapsAreNotRepeated() {
    var small = StageBuilder(inputs: [BufferType(.float32, [4])])
    let exponential = small.map("exp", .float32, [4]) { b, axes in b.exp(b.load(.input(0), .float32, at: axes)) }
    var wide = StageBuilder(inputs: [BufferType(.float32, [4])])
    let repeated = wide.map("broadcast", .float32, [100, 4]) { b, axes in b.load(.input(0), .float32, at: [axes[1]]) }
    let fused = StageProgram.composed(
      [
        .init(program: small.finish([exponential]), inputs: [.input(0)]),
        .init(program: wide.finish([repeated]), inputs: [.part(0, output: 0)]),
      ], inputs: [BufferType(.float32, [4])], outputs: [.part(1, output: 0)]
    ).fused()
    #expect(fused.stages.count == 2)
  }

  /// Reshapes that end where they began leave no index arithmetic.
  @Test func reshapesThereAndBackVanish() {
    func reshape(_ from: [Int], _ to: [Int]) -> StageProgram {
      var b = StageBuilder(inputs: [BufferType(.float32, from)])
      let stage = b.map("reshape", .float32, to) { b, axes in
        var flat = b.integer(0)
        for (axis, extent) in zip(axes, to) { flat = b.add(b.multiply(flat, b.integer(extent)), axis) }
        var indices: [Scalar] = []
        for extent in from.reversed() {
          indices.insert(b.floorModulo(flat, b.integer(extent)), at: 0)
          flat = b.floorDivide(flat, b.integer(extent))
        }
        return b.load(.input(0), .float32, at: indices)
      }
      return b.finish([stage])
    }
    let shapes = [[6, 10], [60], [12, 5], [3, 4, 5], [1, 60, 1], [6, 10]]
    let parts = zip(shapes, shapes.dropFirst()).enumerated().map { number, pair in
      StageProgram.Part(
        program: reshape(pair.0, pair.1), inputs: [number == 0 ? .input(0) : .part(number - 1, output: 0)])
    }
    let fused = StageProgram.composed(
      parts, inputs: [BufferType(.float32, [6, 10])], outputs: [.part(parts.count - 1, output: 0)]
    ).fused()
    #expect(
      fused.description == """
        program(in0: float32[6, 10]) -> (s0)
        s0: float32[6, 10] = map "reshape"
          value = in0[i0, i1]

        """)
  }
}
