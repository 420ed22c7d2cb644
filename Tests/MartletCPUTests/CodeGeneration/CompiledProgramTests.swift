import MartletLoopIR
import MartletTensors
import MartletTestSupport
import Testing

@testable import MartletCPU

/// Programs that are lowered and compiled, against the interpreter of their stages.
struct CompiledProgramTests {
  /// The outputs of a program's nest, each between pages that must not be touched.
  static func run(
    _ nest: Nest, _ inputs: [Tensor], outputs: [BufferType], pieces: Int = 1, hurried: Bool = false,
    compiler: NestCompiler? = nil
  ) throws -> [[Double]] {
    var counts = NestCompiler.Statistics()
    let kernel = try (compiler ?? KernelHarness.compiler).compile(
      [nest], hurried: hurried ? 1 : 0, store: nil, counts: &counts)[0]
    return run(kernel, nest, inputs, outputs: outputs, pieces: pieces)
  }

  /// The same with the code of a nest at hand.
  static func run(
    _ kernel: CompiledKernel, _ nest: Nest, _ inputs: [Tensor], outputs: [BufferType], pieces: Int = 1
  ) -> [[Double]] {
    var slots = inputs.map { tensor in
      GuardedMemory(tensor.withUnsafeBytes { Array($0) }, at: .end)
    }
    let results = outputs.map { GuardedMemory([UInt8](repeating: 0xFF, count: $0.byteCount), at: .end) }
    slots += results
    slots += nest.temporaries.map {
      GuardedMemory([UInt8](repeating: 0xFF, count: $0.elementCount * $0.elementType.byteWidth), at: .end)
    }
    let status = KernelHarness.run(kernel, slots, pieces: pieces)
    #expect(status.code == 0)
    return zip(results, outputs).map { memory, type in
      let bytes = memory.values
      return (0..<type.elementCount).map { i in
        Double(bitPattern: ScalarOperationTests.read(bytes, type.elementType, i))
      }
    }
  }

  @Test(arguments: 0..<20) func randomPrograms(_ block: Int) throws {
    for seed in block * 5..<(block + 1) * 5 {
      let (program, inputs) = RandomStageProgram.program(seed: UInt64(seed))
      let outputs = program.outputs.map { program.type(of: $0) }
      let nest = try Self.lowered(program, seed: seed)
      let found = try Self.run(nest, inputs, outputs: outputs)
      let again = try Self.run(nest, inputs, outputs: outputs, pieces: 3)
      #expect(found == again, "seed \(seed)")
      try Self.expectAgreement(found, program, inputs, "seed \(seed)")
    }
  }

  /// Results of 16 bits, on this processor and on those that do not convert them.
  @Test(arguments: [nil] + KernelHarness.olderProcessors.map { $0 }, [ElementType.float16, .bfloat16])
  func halves(_ processor: String?, _ type: ElementType) throws {
    let compiler = try processor.map { try KernelHarness.compiler(for: $0) }
    for seed in 2000..<2016 {
      let (program, inputs) = RandomStageProgram.program(seed: UInt64(seed), type)
      let nest = try Self.lowered(program, seed: seed)
      let outputs = program.outputs.map { program.type(of: $0) }
      let found = try Self.run(nest, inputs, outputs: outputs, compiler: compiler)
      try Self.expectAgreement(found, program, inputs, "seed \(seed) of \(type)")
    }
  }

  #if arch(x86_64)
    @Test(arguments: KernelHarness.olderProcessors) func olderProcessors(_ processor: String) throws {
      let compiler = try KernelHarness.compiler(for: processor)
      for seed in 1000..<1020 {
        let (program, inputs) = RandomStageProgram.program(seed: UInt64(seed))
        let outputs = program.outputs.map { program.type(of: $0) }
        let nest = try Self.lowered(program, seed: seed)
        let found = try Self.run(nest, inputs, outputs: outputs, compiler: compiler)
        try Self.expectAgreement(found, program, inputs, "seed \(seed) on \(processor)")
      }
    }
  #endif

  static func lowered(_ program: StageProgram, seed: Int) throws -> Nest {
    let machine = MachineShape(vectorBytes: [16, 32, 64][seed % 3], l3: seed % 2 == 0 ? 0 : 32 << 20)
    let nest = lower(program, .default(for: program, machine: machine), for: machine)
    try nest.verify()
    return nest
  }

  static func expectAgreement(
    _ found: [[Double]], _ program: StageProgram, _ inputs: [Tensor], _ label: String
  ) throws {
    let expected = try program.interpret(inputs: inputs, parameters: [0])
    for (values, tensor) in zip(found, expected) {
      let worst = zip(values, tensor.doubles()).map { abs($0 - $1) / max(1, abs($1)) }.max() ?? 0
      // Where a number lies between two of 16 bits, the least difference decides which it becomes.
      let type = tensor.elementType
      #expect(
        worst < (type.isHalf ? 6 / Double(1 << type.significandWidth) : 1e-5), "\(label): off by \(worst)\n\(program)")
    }
  }
}
