import MartletCPU
import MartletLoopIR
import MartletTensors
import Testing

/// Programs that are lowered and compiled, against the interpreter of their stages.
struct CompiledProgramTests {
  /// The outputs of a program's nest, each between pages that must not be touched.
  static func run(_ nest: Nest, _ inputs: [Tensor], outputs: [BufferType], pieces: Int) throws -> [[Double]] {
    let kernel = try KernelHarness.compiler.compile([nest])[0]
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

  @Test(arguments: 0..<25) func randomPrograms(_ block: Int) throws {
    for seed in block * 5..<(block + 1) * 5 {
      let (program, inputs) = RandomProgram.program(seed: UInt64(seed))
      let machine = MachineShape(vectorBytes: [16, 32, 64][seed % 3])
      let nest = lower(program, .default(for: program, machine: machine), for: machine)
      try nest.verify()
      let expected = try program.interpret(inputs: inputs, parameters: [0])
      let outputs = program.outputs.map { program.type(of: $0) }
      let found = try Self.run(nest, inputs, outputs: outputs, pieces: 1)
      let again = try Self.run(nest, inputs, outputs: outputs, pieces: 3)
      #expect(found == again, "seed \(seed)")
      for (values, tensor) in zip(found, expected) {
        let wanted: [Float] = tensor.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        let worst = zip(values, wanted).map { abs($0 - Double($1)) / max(1, abs(Double($1))) }.max() ?? 0
        #expect(worst < 1e-5, "seed \(seed): off by \(worst)\n\(program)\n\(nest)")
      }
    }
  }
}
