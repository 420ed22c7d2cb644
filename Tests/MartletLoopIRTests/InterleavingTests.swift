import MartletTensors
import Testing

@testable import MartletLoopIR

/// How many lanes maps work on at a time.
@Suite struct InterleavingTests {
  private func program(_ type: ElementType, _ extents: [Int], function: Bool) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(type, extents)])
    let y = b.map("Map", type, extents) { b, i in
      let x = b.load(.input(0), type, at: i)
      return function ? b.exp(x) : b.add(x, x)
    }
    return b.finish([y])
  }

  /// Registers are of 64 bytes.
  @Test(arguments: [
    (ElementType.float32, [1 << 20], true, 64), (.float64, [1 << 20], true, 32),
    // Additions wait for memory, not for each other.
    (.float32, [1 << 24], false, 16),
    // Less work is over before better code would be generated.
    (.float32, [1 << 17], true, 16),
    // Rows that lie one behind the other are taken as one.
    (.float32, [1 << 16, 40], true, 64),
  ])
  func functionsOfLargeArraysAreInterleaved(
    _ type: ElementType, _ extents: [Int], _ function: Bool, _ lanes: Int
  ) throws {
    let schedule = Schedule.default(for: program(type, extents, function: function))
    guard case .shared(_, lanes, let block) = schedule.groups[0].vector else {
      Issue.record("\(schedule)")
      return
    }
    #expect(block % lanes == 0)
  }
}
