/// Places intervals of memory in an arena so that those alive at the same time do not overlap.
struct ArenaPacker {
  struct Interval {
    var byteCount: Int
    /// The first and the last step at which the memory is in use.
    var start: Int
    var end: Int
  }

  /// Every offset is a multiple of this: a cache line, and the widest vector register.
  static let alignment = 64

  /// Beyond this many intervals the quadratic strategy is not tried.
  private static let quadraticLimit = 4096

  /// Returns the intervals' offsets and the size of the arena: the smaller of two strategies' results.
  static func pack(_ intervals: [Interval]) -> (offsets: [Int], size: Int) {
    let rounded = intervals.map {
      Interval(byteCount: ($0.byteCount + alignment - 1) & -alignment, start: $0.start, end: $0.end)
    }
    let inOrder = packInOrder(rounded)
    guard rounded.count <= quadraticLimit, inOrder.size > lowerBound(rounded) else { return inOrder }
    let bySize = packBySize(rounded)
    return bySize.size < inOrder.size ? bySize : inOrder
  }

  /// The most bytes in use at one step, below which no placement can go.
  static func lowerBound(_ intervals: [Interval]) -> Int {
    var events: [(step: Int, bytes: Int)] = []
    events.reserveCapacity(2 * intervals.count)
    for interval in intervals where interval.byteCount > 0 {
      events.append((2 * interval.start, interval.byteCount))
      events.append((2 * interval.end + 1, -interval.byteCount))
    }
    events.sort { $0.step < $1.step }
    var (current, peak) = (0, 0)
    for event in events {
      current += event.bytes
      peak = max(peak, current)
    }
    return peak
  }

  /// Largest first, each in the smallest gap that is free for as long as it lives.
  private static func packBySize(_ intervals: [Interval]) -> (offsets: [Int], size: Int) {
    let order = intervals.indices.sorted {
      (intervals[$0].byteCount, -$0) > (intervals[$1].byteCount, -$1)
    }
    var offsets = [Int](repeating: 0, count: intervals.count)
    /// What is placed, by offset.
    var placed: [Int] = []
    var size = 0
    for i in order where intervals[i].byteCount > 0 {
      let interval = intervals[i]
      var end = 0
      var best: (gap: Int, offset: Int)?
      for j in placed {
        let other = intervals[j]
        guard other.start <= interval.end, interval.start <= other.end else { continue }
        let gap = offsets[j] - end
        if gap >= interval.byteCount, gap < best?.gap ?? .max { best = (gap, end) }
        end = max(end, offsets[j] + other.byteCount)
      }
      let offset = best?.offset ?? end
      offsets[i] = offset
      size = max(size, offset + interval.byteCount)
      placed.insert(i, at: placed.partitioningIndex { offsets[$0] > offset })
    }
    return (offsets, size)
  }

  /// In the order of their starts, each in the smallest free gap at that time.
  private static func packInOrder(_ intervals: [Interval]) -> (offsets: [Int], size: Int) {
    let starts = intervals.indices.sorted { (intervals[$0].start, $0) < (intervals[$1].start, $1) }
    let ends = intervals.indices.sorted { (intervals[$0].end, $0) < (intervals[$1].end, $1) }
    var offsets = [Int](repeating: 0, count: intervals.count)
    /// Free ranges below `size`, by offset; neighbours are merged.
    var free: [Range<Int>] = []
    var size = 0
    var ended = 0
    for i in starts where intervals[i].byteCount > 0 {
      while ended < ends.count, intervals[ends[ended]].end < intervals[i].start {
        let j = ends[ended]
        ended += 1
        if intervals[j].byteCount > 0 {
          release(offsets[j]..<offsets[j] + intervals[j].byteCount, &free)
        }
      }
      let wanted = intervals[i].byteCount
      var best: Int?
      for (k, range) in free.enumerated() where range.count >= wanted {
        if best.map({ range.count < free[$0].count }) ?? true { best = k }
      }
      if let best {
        offsets[i] = free[best].lowerBound
        let rest = free[best].lowerBound + wanted..<free[best].upperBound
        if rest.isEmpty { free.remove(at: best) } else { free[best] = rest }
      } else if let last = free.last, last.upperBound == size {
        offsets[i] = last.lowerBound
        size = last.lowerBound + wanted
        free.removeLast()
      } else {
        offsets[i] = size
        size += wanted
      }
    }
    return (offsets, size)
  }

  private static func release(_ range: Range<Int>, _ free: inout [Range<Int>]) {
    var range = range
    var index = free.partitioningIndex { $0.lowerBound > range.lowerBound }
    if index < free.count, free[index].lowerBound == range.upperBound {
      range = range.lowerBound..<free[index].upperBound
      free.remove(at: index)
    }
    if index > 0, free[index - 1].upperBound == range.lowerBound {
      range = free[index - 1].lowerBound..<range.upperBound
      free.remove(at: index - 1)
      index -= 1
    }
    free.insert(range, at: index)
  }
}

extension Array {
  /// The first index at which `isBehind` holds, where it holds for every element after that one too.
  func partitioningIndex(_ isBehind: (Element) -> Bool) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if isBehind(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
