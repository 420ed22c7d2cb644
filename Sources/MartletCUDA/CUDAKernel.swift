import MartletLoopIR
import MartletTensors

/// A program as CUDA C, and how it is launched.
///
/// Every entry point takes the device addresses of inputs, outputs and temporaries, in this order and each as a pointer to
/// its elements; then that of the run's parameters (`int64`); then that of the status (`martlet_status`), which a bad index
/// sets once. Launches follow one another, each after the one before it has ended. Addresses need no more alignment than their
/// elements; at multiples of 16 bytes they are accessed faster.
///
/// ```swift
/// let kernel = CUDAKernel(program, for: .h100)
/// print(kernel.schedule, kernel.source)
/// ```
public struct CUDAKernel: Sendable {
  public let program: StageProgram
  public let schedule: CUDASchedule
  /// Equal for kernels with equal code and launches; names the entry points, and code in caches together with the compiler's
  /// version.
  public let key: String
  /// The entry points, without the prelude that is the same for all kernels.
  public let body: String
  public let launches: [CUDALaunch]
  /// What the launches leave for one another, in device memory.
  public let temporaries: [BufferType]
  private let prepared: StageProgram

  /// - Parameters:
  ///   - program: What to compute, which `verify` accepts.
  ///   - device: What for. Sums do not depend on it.
  ///   - schedule: How; by default, what estimates choose.
  public init(_ program: StageProgram, for device: CUDADevice, schedule: CUDASchedule? = nil) {
    let stages = program.withStagesAsOutputs()
    let schedule = schedule ?? .default(for: stages)
    prepared = stages.splitting(schedule.splits)
    let emitter = KernelEmitter(prepared, schedule, device)
    emitter.run()
    let anonymous = emitter.entries.map { $0.text(name: "\($0.blocks)") }.joined()
    var digest = prepared.structuralKey
    digest.append("\(device.architecture) \(Prelude.digest) \(anonymous)")
    let name = "k\(digest.digest)"
    key = digest.digest
    self.program = program
    self.schedule = schedule
    body = emitter.entries.enumerated().map { $1.text(name: "\(name)_\($0)") }.joined(separator: "\n")
    launches = emitter.entries.enumerated().map { number, entry in
      CUDALaunch(entry: "\(name)_\(number)", blocks: entry.blocks, threads: entry.threads, dynamicSharedBytes: 0)
    }
    temporaries = emitter.temporaries
  }

  /// The whole source of this kernel alone.
  public var source: String { Self.source([self]) }

  /// One source for several kernels; those of equal keys are in it once.
  public static func source(_ kernels: [CUDAKernel]) -> String {
    var known: Set<String> = []
    let bodies = kernels.filter { known.insert($0.key).inserted }.map(\.body)
    return ([Prelude.text] + bodies).joined(separator: "\n")
  }

  /// The inputs whose memory an output may take: each of their elements is read for the last time before the thread that
  /// reads it, or a later launch, writes there.
  public func inPlaceCandidates(output: Int) -> [Int] {
    CUDAInPlaceAnalysis(prepared, schedule).candidates(output: output)
  }
}

extension StageProgram {
  /// The same program with copies as stages, where outputs are inputs.
  fileprivate func withStagesAsOutputs() -> StageProgram {
    guard outputs.contains(where: { if case .input = $0 { true } else { false } }) else { return self }
    var builder = ScalarBuilder(scalars)
    var program = self
    for (number, output) in outputs.enumerated() {
      guard case .input = output else { continue }
      let type = type(of: output)
      builder.axisExtents = type.extents
      let axes = type.extents.indices.map { builder.axis($0) }
      let value = builder.load(output, type.elementType, at: axes)
      program.stages.append(Stage(name: "copy", result: type, kind: .map(value.id)))
      program.outputs[number] = .stage(program.stages.count - 1)
    }
    program.scalars = builder.arena
    return program
  }
}
