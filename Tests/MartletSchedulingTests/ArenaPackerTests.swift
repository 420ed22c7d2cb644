import MartletTestSupport
import Testing

@testable import MartletScheduling

@Suite struct ArenaPackerTests {
  private func interval(_ bytes: Int, _ start: Int, _ end: Int) -> ArenaPacker.Interval {
    .init(byteCount: bytes, start: start, end: end)
  }

  @Test func whatIsNotAliveTogetherSharesMemory() {
    let (offsets, size) = ArenaPacker.pack([interval(64, 0, 1), interval(64, 2, 3), interval(64, 4, 4)])
    #expect(offsets == [0, 0, 0])
    #expect(size == 64)
  }

  @Test func endAndStartInOneStepAreTogether() {
    #expect(ArenaPacker.pack([interval(64, 0, 1), interval(64, 1, 2)]).size == 128)
  }

  @Test func sizesAreRoundedToCacheLines() {
    let (offsets, size) = ArenaPacker.pack([interval(1, 0, 5), interval(65, 0, 5), interval(0, 0, 5)])
    #expect(size == 192)
    #expect(offsets.allSatisfy { $0 % 64 == 0 })
  }

  /// First fit in the order of starts needs 5 lines here; by size it is 4, the most that is alive at one time.
  @Test func theBetterOfTwoOrdersIsTaken() {
    let intervals = [interval(64, 0, 0), interval(64, 0, 3), interval(192, 1, 2), interval(128, 3, 3)]
    #expect(ArenaPacker.lowerBound(intervals) == 256)
    #expect(ArenaPacker.pack(intervals).size == 256)
  }

  @Test(arguments: 0..<200)
  func randomIntervalsDoNotOverlap(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let intervals = (0..<Int.random(in: 1...80, using: &generator)).map { _ in
      let start = Int.random(in: 0..<40, using: &generator)
      return interval(
        Int.random(in: 0...2000, using: &generator), start, start + Int.random(in: 0...12, using: &generator))
    }
    let (offsets, size) = ArenaPacker.pack(intervals)
    for (i, a) in intervals.enumerated() where a.byteCount > 0 {
      #expect(offsets[i] >= 0 && offsets[i] + a.byteCount <= size && offsets[i] % 64 == 0)
      for (j, b) in intervals[..<i].enumerated() where b.byteCount > 0 && a.start <= b.end && b.start <= a.end {
        #expect(offsets[i] + a.byteCount <= offsets[j] || offsets[j] + b.byteCount <= offsets[i])
      }
    }
    #expect(size >= ArenaPacker.lowerBound(intervals))
  }
}
