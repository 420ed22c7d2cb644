import MartletLoopIR

/// A kernel's computation in the form that one kind of device runs, as far as plans depend on it.
public protocol KernelCode: Sendable, CustomStringConvertible {
  /// Bytes of each array that the kernel keeps in memory beside its inputs and outputs.
  var temporaryBytes: [Int] { get }
  /// Bytes of scratch memory that each worker needs.
  var scratchBytes: Int { get }
  /// Whether the kernel is worth more than one worker.
  var isWide: Bool { get }
  /// The inputs, by number, whose memory an output may take.
  func inPlaceCandidates(output: Int) -> [Int]
}

/// A kernel for processors: a loop nest that workers share, and the schedule that it was made by.
public struct NestCode: KernelCode {
  public let schedule: Schedule
  public let nest: Nest
  private let candidates: [[Int]]

  /// - Parameter schedule: nil for the one that fixed estimates choose.
  public init(_ program: StageProgram, _ schedule: Schedule? = nil, for machine: MachineShape, label: String) {
    let schedule = schedule ?? .default(for: program, machine: machine)
    self.schedule = schedule
    nest = lower(program, schedule, for: machine, name: label)
    let analysis = InPlaceAnalysis(program, schedule)
    candidates = program.outputs.indices.map { analysis.candidates(output: $0) }
  }

  public var temporaryBytes: [Int] { nest.temporaries.map { $0.elementCount * $0.elementType.byteWidth } }
  public var scratchBytes: Int { nest.scratchBytes }
  public var isWide: Bool { nest.phases.contains { $0.extent / max($0.grain, 1) > 1 } }
  public func inPlaceCandidates(output: Int) -> [Int] { candidates[output] }
  public var description: String { "schedule \(schedule)\n\(nest)" }
}
