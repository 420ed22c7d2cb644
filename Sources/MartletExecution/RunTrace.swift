import Glibc
import MartletScheduling
import Synchronization

/// What happened when in one or more runs: one event an instruction, in the order in which they ended.
public final class RunTrace: Sendable {
  public struct Event: Sendable {
    /// The operation, or the operations of a fused kernel, and the node's name.
    public var operation: String
    public var name: String
    /// `kernel`, `library`, `host`, `copy`, `conditional` or `loop`.
    public var category: String
    public var isWide: Bool
    /// The worker that carried it out; of a wide step, the one that the others joined.
    public var worker: Int
    /// Nanoseconds of the system's monotonic clock.
    public var begin: UInt64
    public var end: UInt64

    package init(
      operation: String, name: String, category: String, isWide: Bool, worker: Int, begin: UInt64, end: UInt64
    ) {
      (self.operation, self.name, self.category, self.isWide) = (operation, name, category, isWide)
      (self.worker, self.begin, self.end) = (worker, begin, end)
    }
  }

  private let storage = Mutex<[Event]>([])

  public init() {}

  public var events: [Event] { storage.withLock { $0 } }

  package func add(_ events: [Event]) { storage.withLock { $0 += events } }

  func add(_ buffer: TraceBuffer, of plan: BoundPlan) {
    let events = buffer.events.map { event in
      let instruction = plan.instructions[event.record]
      let origin = plan.plan.origins[instruction.origin]
      return Event(
        operation: origin.operation, name: origin.name, category: instruction.action.category,
        isWide: instruction.isWide, worker: event.worker, begin: event.begin, end: event.end)
    }
    storage.withLock { $0 += events }
  }

  /// The events in the format of Chrome's trace viewer (chrome://tracing, Perfetto). Times are in microseconds from the
  /// first event.
  public var chromeJSON: String {
    let events = events
    let start = events.map(\.begin).min() ?? 0
    let lines = events.map { event in
      let fields = [
        "\"name\":\(Self.quoted(event.operation))", "\"cat\":\"\(event.category)\"", "\"ph\":\"X\"",
        "\"ts\":\(Self.microseconds(event.begin - start))", "\"dur\":\(Self.microseconds(event.end - event.begin))",
        "\"pid\":1", "\"tid\":\(event.worker + 1)",
        "\"args\":{\"node\":\(Self.quoted(event.name)),\"wide\":\(event.isWide)}",
      ]
      return "{\(fields.joined(separator: ","))}"
    }
    return "{\"traceEvents\":[\n\(lines.joined(separator: ",\n"))\n],\"displayTimeUnit\":\"ns\"}\n"
  }

  private static func microseconds(_ nanoseconds: UInt64) -> String {
    let rest = String(nanoseconds % 1000)
    return "\(nanoseconds / 1000).\(String(repeating: "0", count: 3 - rest.count))\(rest)"
  }

  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

/// The times of one run, by record.
final class TraceBuffer: @unchecked Sendable {
  struct Event {
    var record: Int
    var worker: Int
    var begin: UInt64
    var end: UInt64
  }
  /// What one worker has done; nobody else writes to it.
  private final class Lane {
    var events: [Event] = []
  }
  private let lanes: [Lane]

  init(workers: Int) { lanes = (0..<max(workers, 1)).map { _ in Lane() } }

  /// In the order in which they ended.
  var events: [Event] {
    let used = lanes.filter { !$0.events.isEmpty }
    if used.count == 1 { return used[0].events }
    return used.flatMap(\.events).sorted { ($0.end, $0.record) < ($1.end, $1.record) }
  }

  func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  func add(record: Int, begin: UInt64, worker: Int = 0) {
    lanes[worker].events.append(Event(record: record, worker: worker, begin: begin, end: now()))
  }
}

extension PlanInstruction.Action {
  /// One word for what kind of step it is.
  public var category: String {
    switch self {
    case .kernel: "kernel"
    case .library: "library"
    case .host: "host"
    case .copy: "copy"
    case .join: "join"
    case .conditional: "conditional"
    case .loop: "loop"
    }
  }
}
