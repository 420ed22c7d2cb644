import MartletTensors
import MartletTestSupport
import Testing

@testable import MartletLoopIR

/// Which outputs are stored past the caches.
@Suite struct StreamingTests {
  /// exp(x) of rows, and each row's sum of it, as outputs or not.
  private func program(rows: Int, columns: Int, sum: Bool = false) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float32, [rows, columns])])
    let y = b.map("Exp", .float32, [rows, columns]) { b, i in b.exp(b.load(.input(0), .float32, at: i)) }
    guard sum else { return b.finish([y]) }
    let total = b.reduce("Sum", .float32, [rows], over: [columns], .sum) { b, i, r in b.load(y, .float32, at: i + r) }
    return b.finish([y, total])
  }

  // 64 × 64 floats are 16 KiB; an input and an output of that size go through a cache of 24 KiB but not of 32.
  @Test(arguments: [(24 << 10, [0]), (32 << 10, []), (1 << 20, [])])
  func whatFitsTheLastCacheIsNot(_ l3: Int, _ streamed: [Int]) {
    let schedule = Schedule.default(for: program(rows: 64, columns: 64), machine: MachineShape(l3: l3))
    #expect(schedule.streamed == streamed)
    #expect("\(schedule)".contains("stream output 0") == !streamed.isEmpty)
  }

  /// The sum reads the exponentials that the same iteration has stored; the sums themselves are few.
  @Test func whatIsReadBackIsNot() {
    let schedule = Schedule.default(for: program(rows: 64, columns: 64, sum: true), machine: MachineShape(l3: 4 << 10))
    #expect(schedule.streamed == [])
  }

  @Test(arguments: [false, true]) func streamingChangesNothing(sum: Bool) throws {
    let program = program(rows: 5, columns: 37, sum: sum)
    let schedule = Schedule.default(for: program, machine: MachineShape(l3: 0))
    #expect(schedule.streamed == (sum ? [1] : [0]))
    let nest = lower(program, schedule)
    #expect(nest.description.contains("streamed"))
    #expect(nest.structuralKey != lower(program, .default(for: program)).structuralKey)
    try expectAgreement(program, inputs: Sample.inputs(for: program), machine: MachineShape(l3: 0))
  }
}
