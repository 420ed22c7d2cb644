import MartletScheduling

/// What the workers of a group carry out, in memory that every worker reads without counting references.
struct GroupShares {
  /// A record of a worker's share.
  struct Entry {
    var record: Int
    /// What it waits for, among all waits of the group.
    var waits: Range<Int32>
  }
  struct Wait {
    var worker: Int32
    var count: UInt32
  }
  /// All records of the group.
  let records: Range<Int>
  /// The shares one behind the other, in a worker's order each.
  private let entries: UnsafeMutableBufferPointer<Entry>
  private let waits: UnsafeMutableBufferPointer<Wait>
  /// For each worker where its share ends.
  private let ends: UnsafeMutableBufferPointer<Int>

  /// - Parameter firstRecord: that of the group's first instruction; the others have the next ones.
  init(_ group: PlanGroup, firstRecord: Int) {
    records = firstRecord..<firstRecord + group.workers.count
    var shares = [[Entry]](repeating: [], count: (group.workers.max() ?? 0) + 1)
    var next = 0
    for (i, worker) in group.workers.enumerated() {
      let start = next
      while next < group.waits.count, group.waits[next].instruction == i { next += 1 }
      shares[worker].append(Entry(record: firstRecord + i, waits: Int32(start)..<Int32(next)))
    }
    entries = Self.allocate(Array(shares.joined()))
    waits = Self.allocate(group.waits.map { Wait(worker: Int32($0.worker), count: UInt32($0.count)) })
    var ends: [Int] = []
    for share in shares { ends.append((ends.last ?? 0) + share.count) }
    self.ends = Self.allocate(ends)
  }

  private static func allocate<Element>(_ elements: [Element]) -> UnsafeMutableBufferPointer<Element> {
    let buffer = UnsafeMutableBufferPointer<Element>.allocate(capacity: elements.count)
    _ = buffer.initialize(from: elements)
    return buffer
  }

  func deallocate() {
    entries.deallocate()
    waits.deallocate()
    ends.deallocate()
  }

  var workerCount: Int { ends.count }

  func share(of worker: Int) -> Slice<UnsafeMutableBufferPointer<Entry>> {
    entries[(worker == 0 ? 0 : ends[worker - 1])..<ends[worker]]
  }

  func waits(of entry: Entry) -> Slice<UnsafeMutableBufferPointer<Wait>> {
    waits[Int(entry.waits.lowerBound)..<Int(entry.waits.upperBound)]
  }
}
