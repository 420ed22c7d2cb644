import Foundation
import MartletExecution
import MartletLoopIR
import MartletTensors
import MartletTestSupport
import Testing

@testable import MartletCPU

/// Code that is generated with little effort, and what replaces it.
struct CompilationEffortTests {
  /// Compiles everything the quick way, and again after three calls.
  private static func hurrying() -> NestCompiler {
    NestCompiler(policy: CompilationEffort.Policy(leastSize: 0, mostOperations: .max, runs: 3))
  }

  private static func quick(
    _ nests: [Nest], _ compiler: NestCompiler, store: CodeStore? = nil
  ) throws -> (kernels: [CompiledKernel], counts: NestCompiler.Statistics) {
    var counts = NestCompiler.Statistics()
    let kernels = try compiler.compile(nests, hurried: nests.count, store: store, counts: &counts)
    return (kernels, counts)
  }

  /// Everything that may change between two runs of the process, such as which code is ready, leaves the bits alone.
  @Test(arguments: 0..<6) func bitsAreTheSame(_ block: Int) throws {
    let compiler = Self.hurrying()
    for seed in 3000 + block * 5..<3000 + (block + 1) * 5 {
      let (program, inputs) = RandomStageProgram.program(seed: UInt64(seed))
      let outputs = program.outputs.map { program.type(of: $0) }
      let nest = try CompiledProgramTests.lowered(program, seed: seed)
      let thorough = try CompiledProgramTests.run(nest, inputs, outputs: outputs)
      #expect(try Self.quick([nest], compiler).kernels[0].isQuick)
      let bits = try CompiledProgramTests.run(nest, inputs, outputs: outputs, hurried: true, compiler: compiler)
      #expect(bits.map { $0.map(\.bitPattern) } == thorough.map { $0.map(\.bitPattern) }, "seed \(seed)")
    }
  }

  @Test(arguments: [
    ScalarOperation.exp, .log, .tanh, .erf, .sin, .cos, .tan, .sqrt, .sigmoid, .expm1, .log1p, .rsqrt,
  ])
  func functionsHaveTheSameBits(_ operation: ScalarOperation) throws {
    for type in [ElementType.float32, .float64] {
      let nest = KernelHarness.elementwise([type], type, counts: [100], lanes: [64 / type.byteWidth]) { b, x in
        b.row(operation, x[0].type, x[0])
      }
      let values = (0..<100).map { Double($0 - 50) * 0.37 }
      let inputs = [type == .float32 ? Tensor(values.map { Float($0) }) : Tensor(values)]
      let outputs = [BufferType(type, [100])]
      let thorough = try CompiledProgramTests.run(nest, inputs, outputs: outputs)
      let bits = try CompiledProgramTests.run(
        nest, inputs, outputs: outputs, hurried: true, compiler: Self.hurrying())
      #expect(bits.map { $0.map(\.bitPattern) } == thorough.map { $0.map(\.bitPattern) })
    }
  }

  @Test func onlyLargeCompilationsAreHurried() {
    let small = NestCompilerTests.scaled(by: 2, name: "small")
    let large = KernelHarness.elementwise([.float32], .float32, counts: [1 << 26], lanes: [16]) { b, x in x[0] }
    let all = [small, large, small].map { CompilationEffort.size(of: $0) }.reduce(0, +)
    let policy = CompilationEffort.Policy(leastSize: all)
    #expect(policy.efforts([small, small]) == [.full, .full])
    #expect(policy.efforts([small, large, small]) == [.quick, .full, .quick])
    #expect(CompilationEffort.Policy().efforts([small, large]) == [.full, .full])
    #expect(CompilationEffort.Policy().efforts([small, large], isHurried: true) == [.quick, .full])
  }

  @Test func operationsAreCountedByTheInnermostLoop() {
    // Twenty elements, each of a load, its index, a factor and a product.
    let nest = NestCompilerTests.scaled(by: 2, name: "small")
    #expect(nest.scalars.count == 4)
    #expect(nest.greatestOperationCount == 80)
  }

  @Test func codeThatRunsOftenIsReplaced() throws {
    let compiler = Self.hurrying()
    let nest = NestCompilerTests.scaled(by: 2, name: "scaled")
    let (kernels, counts) = try Self.quick([nest], compiler)
    #expect((counts.compiled, counts.quick) == (1, 1))
    let execution = KernelExecution(nest, kernels[0], workers: 1, refinedAfter: 3) {
      compiler.refine(nest, store: nil, install: $0)
    }
    for run in 1...6 {
      #expect(call(execution.call) == (0..<20).map { Float(2 * $0) })
      compiler.finishRefining()
      #expect(compiler.statistics.refined == (run < 3 ? 0 : 1))
    }
    let (again, found) = try Self.quick([nest], compiler)
    #expect(!again[0].isQuick)
    #expect((found.compiled, found.reused, found.quick) == (0, 1, 0))
  }

  @Test func aPlanThatIsGoneIsNotWaitedFor() throws {
    let compiler = Self.hurrying()
    let nest = NestCompilerTests.scaled(by: 2, name: "scaled")
    do {
      let execution = KernelExecution(nest, try Self.quick([nest], compiler).kernels[0], workers: 1, refinedAfter: 1) {
        compiler.refine(nest, store: nil, install: $0)
      }
      #expect(call(execution.call) == (0..<20).map { Float(2 * $0) })
    }
    compiler.finishRefining()
    #expect(compiler.statistics.refined == 1)
  }

  /// What must not be slow is compiled again, whoever has had it compiled before.
  @Test func quickCodeIsNotGivenToThoseWhoDoNotRefineIt() throws {
    let compiler = Self.hurrying()
    let nest = NestCompilerTests.scaled(by: 2, name: "scaled")
    #expect(try Self.quick([nest], compiler).kernels[0].isQuick)
    #expect(try !compiler.compile([nest])[0].isQuick)
    #expect(try !Self.quick([nest], compiler).kernels[0].isQuick)
  }

  /// New compilers stand for new processes.
  @Test func bothKindsAreKeptOnDisk() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-code-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let store = try CodeStore(folder)
    let nests = [2.0, 3].map { NestCompilerTests.scaled(by: $0, name: "\($0)") }
    #expect(try Self.quick(nests, Self.hurrying(), store: store).counts.compiled == 2)

    let second = Self.hurrying()
    let warm = try Self.quick(nests, second, store: store)
    #expect((warm.counts.compiled, warm.counts.loaded, warm.counts.quick) == (0, 2, 2))
    second.refine(nests[0], store: store) { #expect(!$0.isQuick) }
    second.finishRefining()

    let third = try Self.quick(nests, Self.hurrying(), store: store)
    #expect(third.kernels.map(\.isQuick) == [false, true])
    #expect((third.counts.compiled, third.counts.loaded, third.counts.quick) == (0, 2, 1))
    // Where there is little to compile, nothing is hurried.
    let fourth = try Self.quick(nests, NestCompiler(), store: store)
    #expect((fourth.counts.compiled, fourth.counts.loaded, fourth.counts.quick) == (1, 1, 0))
  }

  private func call(_ call: BoundCall) -> [Float] {
    let memory = [
      GuardedMemory((0..<20).map { Float($0) }, at: .end), GuardedMemory([Float](repeating: 0, count: 20), at: .end),
    ]
    let context = RunContext()
    let slots: [UnsafeMutablePointer<UInt8>?] = memory.map { $0.address.assumingMemoryBound(to: UInt8.self) }
    #expect(call.function(context.state, slots, call.data) == 0)
    withExtendedLifetime((context, call.owner)) {}
    return memory[1].values
  }
}
