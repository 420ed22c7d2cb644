import MartletGraph
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
/// print(kernel.source)
/// ```
public struct CUDAKernel: Sendable {
  /// The arrays behind the first arguments.
  public let inputs: [BufferType]
  public let outputs: [BufferType]
  /// What it computes; nil for a user's own code.
  public let program: StageProgram?
  /// How a program is computed; nil for a user's own code.
  public let schedule: CUDASchedule?
  /// Equal for kernels with equal code and launches; names the entry points, and code in caches together with the compiler's
  /// version.
  public let key: String
  /// The entry points, without the prelude that is the same for all kernels.
  public let body: String
  public let launches: [CUDALaunch]
  /// What the launches leave for one another, in device memory.
  public let temporaries: [BufferType]
  /// A user's code, which is compiled by itself.
  let custom: CUDASource?
  private let inPlace: CUDAInPlaceAnalysis?
  /// The program as it is run.
  let prepared: StageProgram?

  /// - Parameters:
  ///   - program: What to compute, which `verify` accepts.
  ///   - device: What for. Sums do not depend on it.
  ///   - schedule: How; by default, what estimates choose.
  ///   - isDeterministic: Whether results have the same bits in every run. Else sums of floats that are scattered to computed positions
  ///     are added up in whatever order threads come.
  public init(
    _ program: StageProgram, for device: CUDADevice, schedule: CUDASchedule? = nil, isDeterministic: Bool = true
  ) {
    let stages = program.withStagesAsOutputs()
    let schedule = schedule ?? .default(for: stages, isDeterministic: isDeterministic)
    self.init(program, prepared: stages.splitting(schedule.splits), schedule, for: device)
  }

  /// - Parameter prepared: `program` with the schedule's splits, its stages in the order that the schedule's groups number.
  init(_ program: StageProgram, prepared: StageProgram, _ schedule: CUDASchedule, for device: CUDADevice) {
    let emitter = KernelEmitter(prepared, schedule, device)
    emitter.run()
    let anonymous = emitter.entries.map { $0.text(name: "\($0.blocks)") }.joined()
    var digest = prepared.structuralKey
    digest.append("\(device.architecture) \(Prelude.digest) \(anonymous)")
    let name = "k\(digest.digest)"
    key = digest.digest
    inputs = program.inputs
    outputs = program.outputs.map { program.type(of: $0) }
    self.program = program
    self.schedule = schedule
    custom = nil
    self.prepared = prepared
    inPlace = CUDAInPlaceAnalysis(prepared, schedule)
    body = emitter.entries.enumerated().map { $1.text(name: "\(name)_\($0)") }.joined(separator: "\n")
    launches = emitter.entries.enumerated().map { number, entry in
      CUDALaunch(entry: "\(name)_\(number)", blocks: entry.blocks, threads: entry.threads, dynamicSharedBytes: 0)
    }
    temporaries = emitter.temporaries
  }

  /// A kernel of a user's own code, whose checks are compiled with it.
  init(
    custom: CUDASource, inputs: [BufferType], outputs: [BufferType], temporaries: [BufferType], key: String,
    body: String
  ) {
    (self.inputs, self.outputs, self.temporaries) = (inputs, outputs, temporaries)
    (self.key, self.body, self.custom) = (key, body, custom)
    (program, schedule, inPlace, prepared) = (nil, nil, nil, nil)
    launches = custom.launches.map {
      CUDALaunch(entry: $0.entry, blocks: $0.blocks, threads: $0.threads, dynamicSharedBytes: $0.sharedBytes)
    }
  }

  /// The whole source of this kernel alone.
  public var source: String { custom == nil ? Self.source([self]) : body }

  /// One source for several kernels of programs; those of equal keys are in it once.
  public static func source(_ kernels: [CUDAKernel]) -> String {
    var known: Set<String> = []
    let bodies = kernels.filter { known.insert($0.key).inserted }.map(\.body)
    return ([Prelude.text] + bodies).joined(separator: "\n")
  }

  /// The inputs whose memory an output may take: each of their elements is read for the last time before the thread that
  /// reads it, or a later launch, writes there.
  public func inPlaceCandidates(output: Int) -> [Int] {
    inPlace?.candidates(output: output) ?? []
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
