import MartletCUDA
import MartletLoopIR
import MartletTensors
import MartletTestSupport
import Testing

/// Scans by warps and blocks.
struct TeamScanTests {
  /// What comes before or up to each element along an axis, combined.
  static func scan(
    _ type: ElementType, _ extents: [Int], along axis: Int, reversed: Bool = false, exclusive: Bool = false,
    initial: Double = 0,
    _ combine: @escaping (inout ScalarBuilder, Scalar, Scalar) -> Scalar = { b, x, y in b.add(x, y) }
  ) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(type, extents)])
    let y = b.scan(
      "Scan", type, extents, along: axis, reversed: reversed, exclusive: exclusive, initial: initial
    ) { b, state, i in combine(&b, state, b.load(.input(0), type, at: i)) }
    return b.finish([y])
  }

  /// For each the schedule that it must have. All sums are exact in any order.
  static let programs: [(program: StageProgram, schedule: String)] = [
    (scan(.float32, [3, 1000], along: 1), "256 threads for lines by 4"),
    (scan(.float32, [2, 3, 1], along: 1), "lines"),
    (scan(.float32, [2, 5004, 1], along: 1, exclusive: true, initial: 3), "256 threads for lines by 4"),
    (scan(.float32, [2, 2, 1003], along: 2, reversed: true), "256 threads for lines by 1"),
    (scan(.float64, [3, 1026], along: 1, reversed: true, exclusive: true), "256 threads for lines by 2"),
    // Along other axes than the last.
    (scan(.float32, [700, 5], along: 0), "256 threads for lines by 1"),
    (scan(.int64, [3, 300, 2], along: 1, reversed: true), "256 threads for lines by 1"),
    (scan(.float32, [70, 5000], along: 0), "run s0...s0: lines"),
    // A warp for each line.
    (scan(.float32, [300, 100], along: 1), "32 threads for lines by 4"),
    (scan(.int32, [20, 13, 67], along: 2, exclusive: true), "32 threads for lines by 1"),
    // Chunks, the last of which is shorter.
    (scan(.float32, [40_000], along: 0), "256 threads for lines in 4 chunks by 4"),
    (scan(.int64, [2, 20_001], along: 1, exclusive: true, initial: 5), "256 threads for lines in 2 chunks by 1"),
    (scan(.float32, [17_000, 3], along: 0, reversed: true), "256 threads for lines in 2 chunks by 1"),
    // Other combinations; the state on either side.
    (scan(.float32, [2, 600], along: 1, initial: -.infinity) { b, x, y in b.maximum(y, x) }, "256 threads for"),
    (scan(.int32, [30_000], along: 0, initial: 100) { b, x, y in b.minimum(x, y) }, "in 3 chunks by 4"),
    (
      scan(.int32, [4, 900], along: 1, initial: 1) { b, x, y in b.multiply(x, b.add(y, b.constant(1, .int32))) }, "by 4"
    ),
    // What has to go step by step.
    (scan(.float32, [2, 600], along: 1) { b, x, y in b.add(b.multiply(x, b.constant(0.5, .float32)), y) }, "lines"),
    (scan(.float32, [2, 100], along: 1) { b, x, y in b.add(x, b.multiply(x, y)) }, "run s0...s0: lines"),
  ]

  @Test func agree() throws {
    let cases = Self.programs.map { program, schedule in
      let kernel = CUDAKernel(program, for: .h100)
      #expect("\(kernel.schedule!)".contains(schedule), "\(program)\n\(kernel.schedule!)")
      return SimulatedKernels.Case(
        program: program, inputs: GraphKernelTests.inputs(program, seed: 3), label: "\(program.stages[0].result)")
    }
    try SimulatedKernels.check(cases) { found, expected in
      // The state of a scan that is not a sum is rounded where the interpreter's is not.
      found.bytes == expected.bytes || SimulatedKernels.isClose(found, expected, tolerance: 1e-5)
    }
  }

  /// Lines and chunks cost what they hold, not their number in steps: blocks for all of a long line.
  @Test func longLinesHaveManyBlocks() {
    let kernel = CUDAKernel(Self.scan(.float32, [1 << 24], along: 0), for: .h100)
    #expect(kernel.launches.map(\.blocks) == [256, 256] && kernel.launches.map(\.threads) == [256, 256])
    #expect(kernel.temporaries == [BufferType(.float32, [256])])
  }
}
