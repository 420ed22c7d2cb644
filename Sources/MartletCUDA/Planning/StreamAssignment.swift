/// Deals the steps of a segment to streams.
///
/// A step must wait for those that wrote what it reads, and for those that used what it writes. These dependences come from
/// the bytes that the plan gives to values: whatever shares memory stays in order. Copies to and from the host have a stream
/// each. Other steps go, in their order, to the stream on which they can start first by the estimated times; going to another
/// stream than the one before costs a little.
struct StreamAssignment {
  private static let computeStreams = 4
  private static let uploads = 4
  private static let downloads = 5
  /// What a wait for another stream costs, in nanoseconds.
  private static let waiting = 1500

  static func assign(_ segment: inout DeviceSegment) {
    var assignment = StreamAssignment()
    for i in segment.steps.indices { assignment.place(&segment.steps[i], number: i) }
    // Numbers without gaps, in the order of first use; stream 0 is always there.
    var numbers: [Int: Int] = [0: 0]
    for i in segment.steps.indices {
      let number = numbers[segment.steps[i].stream] ?? numbers.count
      numbers[segment.steps[i].stream] = number
      segment.steps[i].stream = number
    }
    segment.streamCount = numbers.count
  }

  private var dependences = StepDependences()
  private var streams: [Int] = []
  private var ends: [Int] = []
  /// For each step the last step of each stream that has ended before it starts.
  private var known: [[Int]] = []
  private var lastStep = [Int?](repeating: nil, count: StreamAssignment.downloads + 1)
  private var streamEnds = [Int](repeating: 0, count: StreamAssignment.downloads + 1)

  private mutating func place(_ step: inout DeviceStep, number: Int) {
    let needed = dependences.add(step, number: number)
    let stream = stream(for: step, after: needed)
    let start = start(on: stream, after: needed)
    var clock = lastStep[stream].map { known[$0] } ?? [Int](repeating: -1, count: lastStep.count)
    if let last = lastStep[stream] { clock[stream] = last }
    for other in needed.sorted(by: >) where clock[streams[other]] < other {
      step.waits.append(other)
      for (i, place) in known[other].enumerated() { clock[i] = max(clock[i], place) }
      clock[streams[other]] = other
    }
    step.waits.reverse()
    step.stream = stream
    streams.append(stream)
    known.append(clock)
    ends.append(start + step.cost)
    lastStep[stream] = number
    streamEnds[stream] = start + step.cost
  }

  private func stream(for step: DeviceStep, after needed: Set<Int>) -> Int {
    switch step.action {
    case .upload: return Self.uploads
    case .download: return Self.downloads
    case .kernel, .joined, .library, .copy: break
    }
    return (0..<Self.computeStreams).min { (start(on: $0, after: needed), $0) < (start(on: $1, after: needed), $1) }
      ?? 0
  }

  /// When a step could start on a stream.
  private func start(on stream: Int, after needed: Set<Int>) -> Int {
    needed.reduce(streamEnds[stream]) { start, other in
      max(start, ends[other] + (streams[other] == stream ? 0 : Self.waiting))
    }
  }
}
