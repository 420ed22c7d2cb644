import MartletScheduling

/// An `ExecutionPlan` as work for a device and the host beside it: which copies go between the two, which steps run without the
/// host having to decide anything, and on which streams.
///
/// Where host code or a decision needs a value, it is copied to the host's image of the memory, in which everything has its
/// place as on the device; what the host computes is copied to the device where that needs it. A value that is up to date on a
/// side is not copied there again.
struct DevicePlan: Sendable {
  /// In the order of the plan's blocks.
  var blocks: [DeviceBlock]
  /// The device's memory: arena, feeds and fetches that the device works on.
  var deviceMemory: RangeLayout
  /// The host's image, in memory that the device can reach.
  var hostMemory: RangeLayout
  /// For each instruction whose kernel may find a bad index the number of its status, by block and place.
  var statusNumbers: [InstructionPlace: Int]
  /// The constants that the device reads, by number.
  var constants: [Int]
  /// For each launch of several kernels their numbers in the plan.
  var joined: [[Int]]
  /// The fetches, by number, that are copied from the device to where they are handed out, behind all else.
  var directFetches: [Int]

  /// Bytes below which a fetch is copied with the segment that computes it, and once more by the host: that takes less than a
  /// call of the driver.
  static let leastDirectFetch = 64 << 10

  /// The kernels that are launched by themselves.
  var singleKernels: Set<Int> {
    var found: Set<Int> = []
    for case .segment(let segment) in blocks.flatMap(\.parts) {
      for step in segment.steps { if case .kernel(let kernel) = step.action { found.insert(kernel) } }
    }
    return found
  }

  /// The most streams that a segment uses.
  var streamCount: Int {
    blocks.flatMap(\.parts).reduce(1) {
      if case .segment(let segment) = $1 { max($0, segment.streamCount) } else { $0 }
    }
  }

  /// The constants that steps read.
  ///
  /// - Parameter unread: the operands of a library call that it does not read.
  func constants(without unread: (InstructionPlace) -> Set<Int>) -> Set<Int> {
    var found: Set<Int> = []
    for (number, block) in blocks.enumerated() {
      for case .segment(let segment) in block.parts {
        for step in segment.steps {
          var ranges = step.slots
          switch step.action {
          case .kernel, .joined: break
          case .library:
            let skipped = step.instruction.map { unread(InstructionPlace(block: number, index: $0)) } ?? []
            ranges = ranges.indices.filter { !skipped.contains($0) }.map { ranges[$0] }
          case .copy(let source, _): ranges.append(source)
          case .upload(let range), .download(let range): ranges.append(range)
          }
          for range in ranges { if case .constant(let constant) = range.space { found.insert(constant) } }
        }
      }
    }
    return found
  }

  struct InstructionPlace: Hashable, Sendable {
    var block: Int
    var index: Int
  }
}

/// What happens in a block, one after the other.
struct DeviceBlock: Sendable {
  enum Part: Sendable {
    case segment(DeviceSegment)
    /// An instruction of the block that the host carries out; everything before it has ended.
    case host(Int)
    /// `then` if the Boolean in the host's image is true.
    case conditional(predicate: DeviceRange, then: Int, otherwise: Int)
    /// `body` while `condition` leaves true in the host's image; if the host knows how often that is, without `condition`.
    case loop(predicate: DeviceRange, condition: Int, body: Int, count: LoopCount?)
  }
  var parts: [Part] = []
}

/// Steps without a decision of the host among them. They can be recorded once and repeated.
struct DeviceSegment: Sendable {
  var steps: [DeviceStep] = []
  /// Whether the run's parameters have to be copied to the device before.
  var needsParameters = false
  /// Whether a kernel of it may find a bad index.
  var checksIndices = false
  /// How many streams it uses; the first is the one that the others start from and end in.
  var streamCount = 1
}

/// Something that one stream does.
struct DeviceStep: Sendable {
  enum Action: Hashable, Sendable {
    case kernel(Int)
    /// Several kernels in one launch.
    case joined(Int)
    case library(Int)
    /// Within the device.
    case copy(from: DeviceRange, to: DeviceRange)
    case upload(DeviceRange)
    case download(DeviceRange)
  }
  var action: Action
  /// The instruction's place in the block; nil for copies between device and host that no instruction asks for by itself.
  var instruction: Int?
  /// The other instructions of one launch.
  var others: [Int] = []
  /// An instruction's operands, results and scratch memory; of joined kernels all operands, then all results.
  var slots: [DeviceRange] = []
  var reads: [Access] = []
  var writes: [Access] = []
  /// Estimated, in nanoseconds.
  var cost = 0
  var stream = 0
  /// Steps of other streams that must have ended.
  var waits: [Int] = []

  /// Memory on one side.
  struct Access: Hashable, Sendable {
    var range: DeviceRange
    var isOnHost = false
  }
}

/// Where the parts of a memory that are used lie in one stretch of it.
struct RangeLayout: Sendable {
  static let alignment = 256
  private var places: [DeviceRange.Space: RangeMap<Int>] = [:]
  private(set) var byteCount = 0

  /// Makes room for ranges; those that touch stay together.
  init(_ ranges: [DeviceRange]) {
    var used: [DeviceRange.Space: [Range<Int>]] = [:]
    var order: [DeviceRange.Space] = []
    for range in ranges where !range.bytes.isEmpty {
      if used[range.space] == nil { order.append(range.space) }
      used[range.space, default: []].append(range.bytes)
    }
    for space in order {
      let sorted = (used[space] ?? []).sorted { $0.lowerBound < $1.lowerBound }
      var merged: [Range<Int>] = []
      for range in sorted {
        // What was aligned stays aligned.
        let lower = range.lowerBound / Self.alignment * Self.alignment
        if let last = merged.last, lower <= last.upperBound {
          merged[merged.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
        } else {
          merged.append(lower..<range.upperBound)
        }
      }
      var map = RangeMap<Int>()
      for range in merged {
        map.set(range, to: byteCount - range.lowerBound)
        byteCount = (byteCount + range.count + Self.alignment - 1) / Self.alignment * Self.alignment
      }
      places[space] = map
    }
  }

  /// The stretches of a space that have room, and where they begin.
  func stretches(of space: DeviceRange.Space) -> [(bytes: Range<Int>, offset: Int)] {
    places[space]?.entries.map { ($0.bytes, $0.bytes.lowerBound + $0.value) } ?? []
  }

  /// Where a range begins; nil if there is no room for it.
  func offset(of range: DeviceRange) -> Int? {
    guard let entries = places[range.space]?.entries else { return nil }
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].bytes.upperBound > range.bytes.lowerBound { high = middle } else { low = middle + 1 }
    }
    guard low < entries.count, entries[low].bytes.lowerBound <= range.bytes.lowerBound,
      entries[low].bytes.upperBound >= range.bytes.upperBound
    else { return nil }
    return range.bytes.lowerBound + entries[low].value
  }
}
