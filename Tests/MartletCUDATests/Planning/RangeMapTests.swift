import MartletTestSupport
import Testing

@testable import MartletCUDA

@Suite struct RangeMapTests {
  /// Against an array with an element for each byte.
  @Test(arguments: 0..<20 as Range<UInt64>)
  func agreesWithAnArray(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var map = RangeMap<Int>()
    var array = [Int?](repeating: nil, count: 64)
    for number in 1...200 {
      let (a, b) = (Int.random(in: 0...64, using: &generator), Int.random(in: 0...64, using: &generator))
      let range = min(a, b)..<max(a, b)
      if Bool.random(using: &generator) {
        map.set(range, to: number)
        for i in range { array[i] = number }
      } else {
        var seen: [Int] = []
        map.update(range, initial: -1) { bytes, value in
          seen += bytes.map { _ in value }
          value += 1000
        }
        #expect(seen == range.map { array[$0] ?? -1 })
        for i in range { array[i] = (array[i] ?? -1) + 1000 }
      }
      var found = [Int?](repeating: nil, count: 64)
      for entry in map.entries { for i in entry.bytes { found[i] = entry.value } }
      #expect(found == array)
      #expect(zip(map.entries, map.entries.dropFirst()).allSatisfy { $0.bytes.upperBound <= $1.bytes.lowerBound })
    }
  }
}
