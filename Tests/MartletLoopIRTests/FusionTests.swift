import MartletLoopIR
import MartletTensors
import Testing

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

  /// Arrays between the stages of a program are `float32` where arithmetic computes them, unless they are to be rounded.
  @Test(arguments: [false, true]) func halvesBetweenStages(isRounded: Bool) throws {
    let type = BufferType(.bfloat16, [3, 4])
    var sum = StageBuilder(inputs: [type])
    let total = sum.reduce("sum", .bfloat16, [3], over: [4], .sum) { b, axes, reduced in
      b.load(.input(0), .bfloat16, at: axes + reduced)
    }
    var share = StageBuilder(inputs: [type, BufferType(.bfloat16, [3])])
    let shares = share.map("share", .bfloat16, [3, 4]) { b, axes in
      b.divide(b.load(.input(0), .bfloat16, at: axes), b.load(.input(1), .bfloat16, at: [axes[0]]))
    }
    let sums = sum.finish([total])
    let program = StageProgram.composed(
      [
        .init(program: isRounded ? sums.rounding() : sums, inputs: [.input(0)]),
        .init(program: share.finish([shares]), inputs: [.input(0), .part(0, output: 0)]),
      ], inputs: [type], outputs: [.part(1, output: 0)])
    try program.verify()
    #expect(program.stages.map(\.result.elementType) == [isRounded ? .bfloat16 : .float32, .bfloat16])
    // 259 lies between the numbers 258 and 260, of which the second is even.
    let x = Tensor(rounding: [256, 1, 1, 1, 1, 1, 1, 1, 0.5, 0.25, 0.125, 0.125], shape: [3, 4], as: .bfloat16)
    let found = try program.interpret(inputs: [x])[0].doubles()
    #expect(found[0] == (isRounded ? 0.984375 : 0.98828125))
    #expect(found[4...7].allSatisfy { $0 == 0.25 })
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
