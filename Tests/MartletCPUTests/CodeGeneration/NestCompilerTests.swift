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
