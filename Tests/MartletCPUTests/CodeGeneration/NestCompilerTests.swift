import MartletCPU
import MartletLoopIR
import MartletTensors
import Testing

struct NestCompilerTests {
  static func scaled(by factor: Double, name: String) -> Nest {
    var nest = KernelHarness.elementwise([.float32], .float32, counts: [20], lanes: [16]) { b, x in
      b.multiply(x[0], b.constant(factor, .float32))
    }
    nest.name = name
    return nest
  }

  static func run(_ kernel: CompiledKernel) -> [Float] {
    let output = GuardedMemory([Float](repeating: 0, count: 20), at: .end)
    KernelHarness.run(kernel, [GuardedMemory((0..<20).map { Float($0) }, at: .end), output])
    return output.values
  }

  @Test func codeIsKeptByStructure() throws {
    let compiler = NestCompiler()
    let kernels = try compiler.compile([
      Self.scaled(by: 2, name: "a"), Self.scaled(by: 3, name: "b"), Self.scaled(by: 2, name: "c"),
    ])
    #expect(kernels.map(\.name) == ["a", "b", "c"])
    #expect(kernels[0].phases[0].address == kernels[2].phases[0].address)
    #expect(kernels[0].phases[0].address != kernels[1].phases[0].address)
    #expect(Self.run(kernels[0]) == (0..<20).map { Float(2 * $0) })
    #expect(Self.run(kernels[1]) == (0..<20).map { Float(3 * $0) })
    _ = try compiler.compile([Self.scaled(by: 3, name: "d")])
    #expect(compiler.statistics.compiled == 2)
    #expect(compiler.statistics.reused == 2)
    #expect(compiler.statistics.codeBytes > 0)
  }

  /// Rows of an array, of which there may be many or few.
  @Test func codeServesAnyNumberOfIterations() throws {
    let compiler = NestCompiler()
    func rows(_ count: Int) throws -> CompiledKernel {
      var b = ScalarBuilder()
      let (row, column) = (b.axis(0), b.axis(1))
      let index = b.add(b.multiply(row, b.integer(5)), column)
      let value = b.add(b.load(.input(0), .float32, at: [index]), b.cast(row, to: .float32))
      let store = NestStatement.store(buffer: 1, index: index.id, value: value.id, condition: .none)
      let loop = NestLoop(axis: 1, extent: 5, mark: .vector(8), body: [store])
      let nest = Nest(
        name: "rows", scalars: b.arena,
        buffers: [
          NestBuffer(.slot(0), .float32, 5 * count, isWritten: false),
          NestBuffer(.slot(1), .float32, 5 * count, isWritten: true),
        ], registers: [], phases: [NestPhase(axis: 0, extent: count, grain: 1, body: [.loop(loop)])], scratchBytes: 0)
      return try compiler.compile([nest])[0]
    }
    for count in [3, 100, 1] {
      let output = GuardedMemory([Float](repeating: 0, count: 5 * count), at: .end)
      let kernel = try rows(count)
      #expect(kernel.phases.map(\.extent) == [count])
      KernelHarness.run(kernel, [GuardedMemory((0..<5 * count).map { Float($0) }, at: .end), output])
      let expected: [Float] = (0..<5 * count).map { (i: Int) -> Float in Float(i + i / 5) }
      #expect(output.values == expected)
    }
    #expect((compiler.statistics.compiled, compiler.statistics.reused) == (1, 2))
    // Beyond some number, bounds of indices may no longer hold.
    _ = try rows(1 << 21)
    #expect(compiler.statistics.compiled == 2)
  }

  @Test func codeOutlivesItsCompiler() throws {
    var compiler: NestCompiler? = NestCompiler(capacity: 1)
    let kernels = try compiler!.compile([Self.scaled(by: 5, name: "a"), Self.scaled(by: 7, name: "b")])
    compiler = nil
    #expect(Self.run(kernels[0]) == (0..<20).map { Float(5 * $0) })
    #expect(Self.run(kernels[1]) == (0..<20).map { Float(7 * $0) })
  }

  @Test func textShowsVectors() throws {
    let text = try KernelHarness.compiler.text(of: Self.scaled(by: 2, name: "a"), as: .optimized)
    #expect(text.contains("fmul <16 x float>"))
    #expect(!text.contains("nsw"))
  }

  @Test func manyThreadsCompile() async throws {
    let compiler = NestCompiler()
    try await withThrowingTaskGroup(of: Void.self) { group in
      for thread in 0..<4 {
        group.addTask {
          for factor in 1...5 {
            let kernel = try compiler.compile([Self.scaled(by: Double(factor), name: "\(thread)")])[0]
            #expect(Self.run(kernel) == (0..<20).map { Float(factor * $0) })
          }
        }
      }
      try await group.waitForAll()
    }
  }
}
