import MartletCUDA
import MartletLoopIR
import MartletTensors
import MartletTestSupport
import Testing

/// Scatters by atomic operations.
struct AtomicsTests {
  /// Updates of `type` combined into 7 × 3 elements at positions from data, of which some lie outside.
  static func scatter(
    _ type: ElementType, _ combine: @escaping (inout ScalarBuilder, Scalar, Scalar) -> Scalar
  ) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(type, [7, 3]), BufferType(.int64, [300]), BufferType(type, [300, 3])])
    let y = b.scatter(
      "Scatter", type, [7, 3], updates: [300, 3], initial: { b, i in b.load(.input(0), type, at: i) },
      position: { b, u in [b.subtract(b.load(.input(1), .int64, at: [u[0]]), b.integer(1)), u[1]] },
      combine: { b, state, u in combine(&b, state, b.load(.input(2), type, at: u)) })
    return b.finish([y])
  }

  static let integers: [(StageProgram, String)] = [ElementType.int32, .int64].flatMap { type in
    [
      (scatter(type) { b, x, y in b.add(x, y) }, "add \(type)"),
      (scatter(type) { b, x, y in b.minimum(y, x) }, "minimum \(type)"),
      (scatter(type) { b, x, y in b.maximum(x, b.multiply(y, y)) }, "maximum \(type)"),
    ]
  }
  static let floats: [(StageProgram, String)] = [ElementType.float32, .float64].map { type in
    (scatter(type) { b, x, y in b.add(y, x) }, "add \(type)")
  }

  @Test func integersAgree() throws {
    let cases = Self.integers.map { program, label in
      #expect("\(CUDAKernel(program, for: .h100).schedule!)" == "run s0...s0: atomics\n")
      return SimulatedKernels.Case(
        program: program, inputs: GraphKernelTests.inputs(program, seed: 5), label: label)
    }
    try SimulatedKernels.check(cases) { $0.bytes == $1.bytes }
  }

  /// Floats only where bits may differ from run to run. (These sums are exact in any order.)
  @Test func floatsAgree() throws {
    let cases = Self.floats.map { program, label in
      #expect("\(CUDAKernel(program, for: .h100).schedule!)".contains("owners"))
      let kernel = CUDAKernel(program, for: .h100, isDeterministic: false)
      #expect("\(kernel.schedule!)" == "run s0...s0: atomics\n")
      return SimulatedKernels.Case(
        program: program, inputs: GraphKernelTests.inputs(program, seed: 5), label: label, kernel: kernel)
    }
    try SimulatedKernels.check(cases) { $0.bytes == $1.bytes }
  }

  /// What reads the state twice, or is no atomic operation, keeps its order.
  @Test func otherCombinationsKeepTheirOrder() {
    let others = [
      Self.scatter(.int32) { b, x, y in b.multiply(x, y) }, Self.scatter(.int32) { b, x, y in b.add(x, b.add(x, y)) },
      Self.scatter(.float32) { b, x, y in b.maximum(x, y) }, Self.scatter(.uint8) { b, x, y in b.add(x, y) },
    ]
    for program in others {
      #expect("\(CUDAKernel(program, for: .h100, isDeterministic: false).schedule!)".contains("owners"))
    }
  }
}
