/// Values for stretches of one memory: neighbouring bytes with one value, in order.
struct RangeMap<Value: Sendable>: Sendable {
  private(set) var entries: [(bytes: Range<Int>, value: Value)] = []

  /// Gives the bytes of `range` new values: those without one count as `initial`. Stretches are divided where the range begins and
  /// ends.
  mutating func update(_ range: Range<Int>, initial: Value, _ body: (Range<Int>, inout Value) -> Void) {
    guard !range.isEmpty else { return }
    split(at: range.lowerBound)
    split(at: range.upperBound)
    var i = firstIndex(endingBehind: range.lowerBound)
    var begin = range.lowerBound
    while begin < range.upperBound {
      if i == entries.count || entries[i].bytes.lowerBound > begin {
        let end = i == entries.count ? range.upperBound : min(entries[i].bytes.lowerBound, range.upperBound)
        entries.insert((begin..<end, initial), at: i)
      }
      body(entries[i].bytes, &entries[i].value)
      begin = entries[i].bytes.upperBound
      i += 1
    }
  }

  /// Gives all bytes of `range` one value.
  mutating func set(_ range: Range<Int>, to value: Value) {
    guard !range.isEmpty else { return }
    split(at: range.lowerBound)
    split(at: range.upperBound)
    let first = firstIndex(endingBehind: range.lowerBound)
    var end = first
    while end < entries.count, entries[end].bytes.lowerBound < range.upperBound { end += 1 }
    entries.replaceSubrange(first..<end, with: [(range, value)])
  }

  private mutating func split(at place: Int) {
    let i = firstIndex(endingBehind: place)
    guard i < entries.count, entries[i].bytes.lowerBound < place else { return }
    let entry = entries[i]
    entries[i].bytes = entry.bytes.lowerBound..<place
    entries.insert((place..<entry.bytes.upperBound, entry.value), at: i + 1)
  }

  /// The first entry that ends behind `place`.
  private func firstIndex(endingBehind place: Int) -> Int {
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].bytes.upperBound > place { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
