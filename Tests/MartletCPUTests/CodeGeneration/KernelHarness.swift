import CMartletRuntime
import MartletCPU
import MartletLoopIR
import MartletTensors
import Testing

/// Compiles nests that tests write by hand and runs them on plain memory.
enum KernelHarness {
  static let compiler = NestCompiler()
  /// Compilers for older processors that this one can stand in for: without AVX-512, and without AVX.
  static let olderProcessors = ["x86-64-v3", "x86-64-v2"]
  private static let olderCompilers = Dictionary(
    uniqueKeysWithValues: olderProcessors.map { ($0, NestCompiler(processor: $0)) })
  static func compiler(for processor: String) throws -> NestCompiler { try #require(olderCompilers[processor]) }

  /// Runs every phase over all its iterations, in `pieces` calls, and returns what the status says at the end.
  @discardableResult
  static func run(
    _ kernel: CompiledKernel, _ slots: [UnsafeMutableRawPointer], parameters: [Int64] = [0], pieces: Int = 1
  ) -> martlet_status {
    var status = martlet_status()
    let padding = Array(repeating: Int64(0), count: max(ParametricNest.firstParameter - parameters.count, 0))
    let parameters = parameters + padding + kernel.parameters
    let scratch = UnsafeMutableRawPointer.allocate(byteCount: kernel.scratchBytes + 64, alignment: 64)
    defer { scratch.deallocate() }
    let addresses: [UnsafeMutablePointer<UInt8>?] = slots.map { $0.assumingMemoryBound(to: UInt8.self) }
    for phase in kernel.phases {
      for piece in 0..<pieces {
        let (begin, end) = (phase.extent * piece / pieces, phase.extent * (piece + 1) / pieces)
        phase.function(
          parameters, addresses, &status, scratch.assumingMemoryBound(to: UInt8.self), Int64(begin), Int64(end))
      }
    }
    return status
  }

  @discardableResult
  static func run(_ kernel: CompiledKernel, _ slots: [any KernelMemory], pieces: Int = 1) -> martlet_status {
    withExtendedLifetime(slots) { run(kernel, slots.map(\.address), pieces: pieces) }
  }

  /// A nest that computes `count` elements of the last buffer from those at the same index of the others.
  static func elementwise(
    _ inputs: [ElementType], _ output: ElementType, counts: [Int], lanes: [Int],
    _ body: (inout ScalarBuilder, [Scalar]) -> Scalar
  ) -> Nest {
    var b = ScalarBuilder()
    var phases: [NestPhase] = []
    let greatest = counts.max() ?? 0
    let buffers =
      (inputs + [output]).enumerated().map {
        NestBuffer(.slot($0.offset), $0.element, greatest, isWritten: $0.offset == inputs.count)
      }
    for (number, (count, lanes)) in zip(counts, lanes).enumerated() {
      let axis = b.axis(2 * number + 1)
      let loads = inputs.enumerated().map { b.load(.input($0.offset), $0.element, at: [axis]) }
      let value = body(&b, loads)
      let store = NestStatement.store(buffer: inputs.count, index: axis.id, value: value.id, condition: .none)
      let loop = NestLoop(
        axis: 2 * number + 1, extent: count, mark: lanes == 1 ? .serial : .vector(lanes), body: [store])
      phases.append(NestPhase(axis: 2 * number, extent: 1, grain: 1, body: [.loop(loop)]))
    }
    return Nest(
      name: "elementwise", scalars: b.arena, buffers: buffers, registers: [], phases: phases, scratchBytes: 0)
  }
}
