import MartletTestSupport
import Testing

@testable import MartletCUDA

@Suite struct StreamAssignmentTests {
  private func step(_ reads: [Range<Int>], _ writes: [Range<Int>], cost: Int = 10_000) -> DeviceStep {
    func accesses(_ ranges: [Range<Int>]) -> [DeviceStep.Access] {
      ranges.map { DeviceStep.Access(range: DeviceRange(.arena, $0)) }
    }
    return DeviceStep(action: .kernel(0), instruction: 0, reads: accesses(reads), writes: accesses(writes), cost: cost)
  }

  private func conflict(_ a: DeviceStep, _ b: DeviceStep) -> Bool {
    func meet(_ a: [DeviceStep.Access], _ b: [DeviceStep.Access]) -> Bool {
      a.contains { a in
        b.contains {
          a.isOnHost == $0.isOnHost && a.range.space == $0.range.space && a.range.bytes.overlaps($0.range.bytes)
        }
      }
    }
    return meet(a.writes, b.writes) || meet(a.writes, b.reads) || meet(a.reads, b.writes)
  }

  /// For each step those that have surely ended when it begins: by streams and waits alone.
  private func predecessors(_ steps: [DeviceStep]) -> [Set<Int>] {
    var result: [Set<Int>] = []
    for (i, step) in steps.enumerated() {
      var ended: Set<Int> = []
      for other in step.waits + steps[..<i].indices.filter({ steps[$0].stream == step.stream }) {
        ended.formUnion(result[other])
        ended.insert(other)
      }
      result.append(ended)
    }
    return result
  }

  @Test(arguments: 0..<40 as Range<UInt64>)
  func whatSharesMemoryStaysInOrder(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    func range() -> Range<Int> {
      let start = Int.random(in: 0..<40, using: &generator)
      return start..<start + Int.random(in: 1...6, using: &generator)
    }
    var segment = DeviceSegment()
    for _ in 0..<60 {
      let reads = (0..<Int.random(in: 0...2, using: &generator)).map { _ in range() }
      var next = step(reads, [range()], cost: Int.random(in: 2000...50_000, using: &generator))
      switch Int.random(in: 0..<8, using: &generator) {
      case 0:
        let bytes = DeviceRange(.arena, range())
        next.action = .upload(bytes)
        (next.reads, next.writes) = ([.init(range: bytes, isOnHost: true)], [.init(range: bytes)])
      case 1:
        let bytes = DeviceRange(.arena, range())
        next.action = .download(bytes)
        (next.reads, next.writes) = ([.init(range: bytes)], [.init(range: bytes, isOnHost: true)])
      default: break
      }
      segment.steps.append(next)
    }
    StreamAssignment.assign(&segment)
    let ended = predecessors(segment.steps)
    for i in segment.steps.indices {
      for j in 0..<i where conflict(segment.steps[i], segment.steps[j]) {
        #expect(ended[i].contains(j), "step \(i) does not wait for step \(j)")
      }
    }
    #expect(segment.steps.allSatisfy { $0.stream < segment.streamCount })
    // Nothing is waited for that has ended anyway.
    for (i, step) in segment.steps.enumerated() {
      for wait in step.waits {
        var without = segment.steps
        without[i].waits.removeAll { $0 == wait }
        #expect(!predecessors(without)[i].contains(wait), "step \(i) waits for step \(wait) for nothing")
      }
    }
  }

  /// A chain stays on one stream; what does not need each other is spread.
  @Test func chainsAndBranches() {
    var chain = DeviceSegment(steps: (0..<5).map { step([$0..<$0 + 1], [$0 + 1..<$0 + 2]) })
    StreamAssignment.assign(&chain)
    #expect(chain.streamCount == 1 && chain.steps.allSatisfy { $0.waits == [] })
    var branches = DeviceSegment(steps: (1..<4).map { step([0..<1], [$0..<$0 + 1]) } + [step([1..<4], [9..<10])])
    StreamAssignment.assign(&branches)
    #expect(branches.streamCount == 3)
    #expect(branches.steps[3].waits.count == 2)
  }
}
