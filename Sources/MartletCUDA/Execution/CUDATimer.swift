import Glibc
import MartletExecution
import MartletScheduling

/// Takes the times of the steps of one run by events around each.
final class CUDATimer {
  private struct Entry {
    var operation: String?
    var origin: Int?
    var category: String
    var stream: Int
    var begin: CUDAEvent
    var end: CUDAEvent
  }
  private struct HostEntry {
    var instruction: PlanInstruction
    var begin: UInt64
    var end: UInt64
  }

  private let context: CUDAContext
  private let start: CUDAEvent
  /// Of the host's clock, in nanoseconds, when `start` was recorded on an idle stream.
  private let startTime: UInt64
  private var entries: [Entry] = []
  private var hostEntries: [HostEntry] = []

  init(_ stream: CUDAStream) throws(CUDAFailure) {
    context = stream.context
    start = try CUDAEvent(stream.context, timing: true)
    try stream.synchronize()
    try start.record(on: stream)
    startTime = Self.clock()
  }

  private static func clock() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  func now() -> UInt64 { Self.clock() }

  /// The present end of a stream's work.
  func mark(_ stream: CUDAStream) throws(CUDAFailure) -> CUDAEvent {
    let event = try CUDAEvent(context, timing: true)
    try event.record(on: stream)
    return event
  }

  func add(
    _ step: DeviceStep, _ instruction: PlanInstruction?, begin: CUDAEvent, _ stream: CUDAStream, number: Int
  ) throws(CUDAFailure) {
    let (operation, category): (String?, String) =
      switch step.action {
      case .upload(let range): ("upload of \(range)", "copy")
      case .download(let range): ("download of \(range)", "copy")
      case .joined: ("\(step.others.count + 1) kernels", "kernel")
      case .kernel, .library, .copy: (nil, instruction?.action.category ?? "copy")
      }
    entries.append(
      Entry(
        operation: operation, origin: instruction?.origin, category: category, stream: number, begin: begin,
        end: try mark(stream)))
  }

  func add(_ instruction: PlanInstruction, begin: UInt64) {
    hostEntries.append(HostEntry(instruction: instruction, begin: begin, end: Self.clock()))
  }

  /// What happened when. All streams are idle.
  func events(of plan: ExecutionPlan) throws(CUDAFailure) -> [RunTrace.Event] {
    var events: [RunTrace.Event] = []
    for entry in entries {
      let origin = entry.origin.map { plan.origins[$0] }
      let begin = startTime + UInt64(max(0, try entry.begin.milliseconds(since: start)) * 1e6)
      let end = startTime + UInt64(max(0, try entry.end.milliseconds(since: start)) * 1e6)
      events.append(
        RunTrace.Event(
          operation: entry.operation ?? origin?.operation ?? entry.category, name: origin?.name ?? "",
          category: entry.category, isWide: true, worker: entry.stream, begin: begin, end: max(begin, end)))
    }
    for entry in hostEntries {
      let origin = plan.origins[entry.instruction.origin]
      events.append(
        RunTrace.Event(
          operation: origin.operation, name: origin.name, category: entry.instruction.action.category,
          isWide: entry.instruction.isWide, worker: 0, begin: entry.begin, end: entry.end))
    }
    return events.sorted { ($0.end, $0.begin) < ($1.end, $1.begin) }
  }
}
