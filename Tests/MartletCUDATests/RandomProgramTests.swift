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
}
