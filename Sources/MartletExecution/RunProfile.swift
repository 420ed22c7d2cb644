/// Where the time of one or more runs went: the steps of a trace, those of the same operation and kind taken together.
///
/// ```swift
/// let trace = RunTrace()
/// try step.run([images, labels], options: RunOptions(trace: trace))
/// print(trace.profile)
/// ```
public struct RunProfile: Sendable {
  /// All steps of one operation.
  public struct Entry: Sendable {
    /// The operation, or the operations of a fused kernel.
    public var operation: String
    /// `kernel`, `library`, `host`, `copy`, `conditional` or `loop`; the time of the last two has that of their steps.
    public var category: String
    public var count = 0
    /// Nanoseconds.
    public var time: UInt64 = 0
    /// The node whose step took longest, and how long that took, in nanoseconds.
    public var slowest = (name: "", time: UInt64(0))
  }

  /// From the most time to the least.
  public let entries: [Entry]
  /// Nanoseconds of all steps, those inside of branches and loops counted once.
  public let totalTime: UInt64

  init(_ events: [RunTrace.Event]) {
    struct Key: Hashable {
      var operation: String
      var category: String
    }
    var places: [Key: Int] = [:]
    var entries: [Entry] = []
    var total: UInt64 = 0
    for event in events {
      let key = Key(operation: event.operation, category: event.category)
      let place = places[key] ?? entries.count
      if place == entries.count {
        places[key] = place
        entries.append(Entry(operation: event.operation, category: event.category))
      }
      let time = event.end - event.begin
      entries[place].count += 1
      entries[place].time += time
      if time >= entries[place].slowest.time { entries[place].slowest = (event.name, time) }
      if event.category != "conditional", event.category != "loop" { total += time }
    }
    // Steps of equal time keep the order in which they ran.
    self.entries = entries.enumerated().sorted { ($1.element.time, $0.offset) < ($0.element.time, $1.offset) }
      .map(\.element)
    totalTime = total
  }
}

extension RunProfile: CustomStringConvertible {
  /// A table with a line for each entry, times in microseconds.
  public var description: String {
    var lines = ["     time, µs   share    steps  kind     operation (slowest node)"]
    for entry in entries {
      let share = totalTime == 0 ? 0 : Double(entry.time) / Double(totalTime)
      let tenths = Int((share * 1000).rounded())
      lines.append(
        Self.padded("\(entry.time / 1000).\(entry.time / 100 % 10)", to: 13)
          + Self.padded("\(tenths / 10).\(tenths % 10) %", to: 8)
          + Self.padded("\(entry.count)", to: 9) + "  \(entry.category) "
          + String(repeating: " ", count: max(8 - entry.category.count, 0))
          + "\(entry.operation) ('\(entry.slowest.name)')")
    }
    return lines.joined(separator: "\n")
  }

  private static func padded(_ text: String, to width: Int) -> String {
    String(repeating: " ", count: max(width - text.count, 0)) + text
  }
}

extension RunTrace {
  /// The events taken together by operation.
  public var profile: RunProfile { RunProfile(events) }
}
