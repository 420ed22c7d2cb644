import MartletCUDA
import MartletLoopIR
import MartletTensors
import Testing

/// Programs with inputs, to be run by the simulator and by the interpreter of their stages.
struct SimulatedKernels {
  struct Case {
    var program: StageProgram
    var inputs: [Tensor]
    var label: String
    var parameters: [Int64] = [0, 0, 0, 0]
    /// What computes it, if not the kernel that is made of the program.
    var kernel: CUDAKernel?
  }

  /// Small, so that programs of the tests need loops over their blocks.
  static let device = CUDADevice(capability: 90, sharedBytes: 20 << 10, multiprocessors: 2)

  /// Expects that each program's kernel gives the interpreter's outputs, in whatever order threads run, and wherever arrays
  /// begin.
  static func check(
    _ cases: [Case], device: CUDADevice = Self.device, isClose: (Tensor, Tensor) -> Bool
  ) throws {
    let kernels = cases.map { $0.kernel ?? CUDAKernel($0.program, for: device) }
    let simulator = try Simulator(kernels)
    for (kernel, one) in zip(kernels, cases) {
      let found = try simulator.run(kernel, one.inputs, parameters: one.parameters)
      let again = try simulator.run(kernel, one.inputs, parameters: one.parameters, isReversed: true, shift: 1)
      let expected = try interpret(one)
      if let site = expected.site {
        #expect(found.status.code == 1 && found.status.site == site, "\(one.label): \(found.status)")
        continue
      }
      #expect(found.status == Simulator.Status(), "\(one.label)")
      let isSame = zip(found.outputs, again.outputs).allSatisfy { $0.bytes == $1.bytes }
      #expect(isSame, "\(one.label): threads in another order give something else\n\(describe(kernel))")
      for (number, (found, expected)) in zip(found.outputs, expected.outputs).enumerated() {
        #expect(
          isClose(found, expected),
          "\(one.label): output \(number) is \(found.doubles().prefix(64)), not \(expected.doubles().prefix(64))\n\(describe(kernel))"
        )
      }
    }
  }

  /// The interpreter's outputs, or the site of a check that failed.
  private static func interpret(_ one: Case) throws -> (outputs: [Tensor], site: Int64?) {
    do {
      return (try one.program.interpret(inputs: one.inputs, parameters: one.parameters), nil)
    } catch InterpretationError.badIndex(let site, _) {
      return ([], site)
    }
  }

  static func describe(_ kernel: CUDAKernel) -> String {
    [kernel.program.map { "\($0)" }, kernel.schedule.map { "\($0)" }, kernel.body].compactMap { $0 }.joined(
      separator: "\n")
  }

  /// Whether all elements are within `tolerance`, relative where they are greater than one.
  static func isClose(_ found: Tensor, _ expected: Tensor, tolerance: Double) -> Bool {
    guard found.elementType.isFloatingPoint else { return found.bytes == expected.bytes }
    return zip(found.doubles(), expected.doubles()).allSatisfy { x, y in
      x == y || (x.isNaN && y.isNaN) || abs(x - y) <= tolerance * max(1, abs(y))
    }
  }
}

extension Tensor {
  /// The elements' bytes, in order.
  var bytes: [UInt8] { withUnsafeBytes { Array($0) } }
}
