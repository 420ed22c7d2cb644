import MartletCUDA
import MartletLoopIR
import MartletTensors
import MartletTestSupport
import Testing

/// The kernels of whole graphs, against the interpreter of their stages.
struct GraphKernelTests {
  /// Inputs that fit a program: small floats, and integers that are positions in most arrays.
  static func inputs(_ program: StageProgram, seed: UInt64) -> [Tensor] {
    var g = SeededGenerator(seed: seed)
    return program.inputs.map { type in
      let (count, shape) = (type.elementCount, type.extents)
      if type.elementType.isFloatingPoint {
        let numbers = (0..<count).map { _ in Double(Int.random(in: -128..<128, using: &g)) / 64 }
        return Tensor(rounding: numbers, shape: shape, as: type.elementType)
      }
      return switch type.elementType {
      case .int32: Tensor((0..<count).map { _ in Int32.random(in: 0..<3, using: &g) }, shape: shape)
      case .int64: Tensor((0..<count).map { _ in Int64.random(in: 0..<3, using: &g) }, shape: shape)
      case .uint8: Tensor((0..<count).map { _ in UInt8.random(in: 0...255, using: &g) }, shape: shape)
      default: Tensor((0..<count).map { _ in Bool.random(using: &g) }, shape: shape)
      }
    }
  }

  /// In parts, which the host compiles side by side.
  @Test(arguments: 0..<parts) func agree(_ part: Int) throws {
    let all = try GraphKernels.all.get().enumerated().filter { $0.offset % Self.parts == part }
    let cases = all.map { number, kernel in
      SimulatedKernels.Case(
        program: kernel.program, inputs: Self.inputs(kernel.program, seed: UInt64(number)), label: kernel.label,
        parameters: [3, 1, 0, 0])
    }
    try SimulatedKernels.check(cases) { found, expected in
      let type = expected.elementType
      return SimulatedKernels.isClose(
        found, expected, tolerance: type.isHalf ? 2 / Double(1 << type.significandWidth) : 1e-5)
    }
  }
  static let parts = 3

  @Test func uniformNumbersAreTheSameBits() throws {
    let kernels = try GraphKernels.all.get().filter { $0.label.hasPrefix("uniform") }
    #expect(kernels.count == 1)
    for run in [0, 1, 1 << 40] as [Int64] {
      let cases = kernels.map {
        // The shape is an input that nothing reads.
        SimulatedKernels.Case(
          program: $0.program, inputs: Self.inputs($0.program, seed: 0), label: $0.label, parameters: [run, 3, 0, 0])
      }
      try SimulatedKernels.check(cases) { $0.bytes == $1.bytes }
    }
  }
}
