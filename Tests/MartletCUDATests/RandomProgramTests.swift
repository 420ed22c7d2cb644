import MartletCUDA
import MartletLoopIR
import MartletTensors
import MartletTestSupport
import Testing

/// Programs of random stages, against the interpreter.
struct RandomProgramTests {
  @Test func agree() throws {
    let cases = (0..<120).map { seed in
      let (program, inputs) = RandomStageProgram.program(seed: UInt64(seed))
      return SimulatedKernels.Case(program: program, inputs: inputs, label: "seed \(seed)")
    }
    try SimulatedKernels.check(cases) { SimulatedKernels.isClose($0, $1, tolerance: 1e-5) }
  }

  /// With results of 16 bits, which may fall on either side of a tie and are read again.
  @Test(arguments: [ElementType.float16, .bfloat16]) func halves(_ type: ElementType) throws {
    let cases = (2000..<2030).map { seed in
      let (program, inputs) = RandomStageProgram.program(seed: UInt64(seed), type)
      return SimulatedKernels.Case(program: program, inputs: inputs, label: "seed \(seed)")
    }
    try SimulatedKernels.check(cases) {
      SimulatedKernels.isClose($0, $1, tolerance: 6 / Double(1 << type.significandWidth))
    }
  }
}
