import MartletTensors
import MartletTestSupport
import Testing

@testable import MartletLoopIR

@Suite struct StageVerifierTests {
  private func invariant(broken program: StageProgram) -> String? {
    do {
      try program.verify()
      return nil
    } catch {
      return error.invariant
    }
  }

  @Test func wellFormedProgramsPass() {
    let programs = [
      Sample.softmax(3, 4), Sample.argMax(2, 3), Sample.adam([4]), Sample.layerNorm(2, 5),
      Sample.cumulativeSum([2, 3], along: 1, reversed: true, exclusive: false), Sample.gather(rows: 2, 2, at: 3),
    ]
    for program in programs { #expect(invariant(broken: program) == nil) }
  }

  @Test func eachBrokenInvariantIsNamed() {
    let sound = Sample.softmax(3, 4)
    var broken = sound
    broken.outputs = [.stage(9)]
    #expect(invariant(broken: broken) == "S8")
    broken = sound
    broken.stages[1].result.extents = [3]
    #expect(invariant(broken: broken) == "S4")
    broken = sound
    broken.stages.swapAt(0, 1)
    #expect(invariant(broken: broken) != nil)
    broken = sound
    broken.inputs[0].elementType = .float64
    #expect(invariant(broken: broken) == "S3")
    broken = sound
    broken.stages[1].result.elementType = .int32
    #expect(invariant(broken: broken) == "S6")
    broken = sound
    broken.inputs[0].extents = [-1, 4]
    #expect(invariant(broken: broken) == "S2")
    var reduction = sound
    if case .reduce(var r) = reduction.stages[0].kind {
      r.merge = []
      reduction.stages[0].kind = .reduce(r)
    }
    #expect(invariant(broken: reduction) == "S5")
  }

  @Test func typesOfRowsAreChecked() {
    var arena = ScalarArena()
    let x = arena.intern(ScalarRow(.axis, .int64))
    let y = arena.intern(ScalarRow(.exp, .int64, [x]))
    let program = StageProgram(
      scalars: arena, inputs: [],
      stages: [Stage(name: "broken", result: BufferType(.int64, [3]), kind: .map(y))], outputs: [.stage(0)])
    #expect(invariant(broken: program) == "S1")
  }
}
