import MartletTensors
import MartletTestSupport
import Testing

@testable import MartletLoopIR

@Suite struct StageTextTests {
  @Test func textOfSoftmax() {
    #expect(
      Sample.softmax(2, 3).description == """
        program(in0: float32[2, 3]) -> (s3)
        s0: float32[2] = reduce[3] "Max"
          initial0 = -inf
          step0 = maximum(in0[i0, i1], state0)
          merge0 = maximum(state0, other0)
          finish = state0
        s1: float32[2, 3] = map "Exp"
          value = exp((in0[i0, i1] - s0[i0]))
        s2: float32[2] = reduce[3] "Sum"
          initial0 = 0.0
          step0 = (state0 + s1[i0, i1])
          merge0 = (state0 + other0)
          finish = state0
        s3: float32[2, 3] = map "Softmax"
          value = (s1[i0, i1] / s2[i0])

        """)
  }

  @Test func sharedRowsAreNamedOnce() {
    let program = Sample.unary([4]) { b, x in
      let e = b.exp(x)
      return b.multiply(e, b.add(e, x))
    }
    #expect(
      program.description == """
        program(in0: float32[4]) -> (s0)
        s0: float32[4] = map "unary"
          t0 = in0[i0]
          t1 = exp(t0)
          value = (t1 * (t0 + t1))

        """)
  }

  @Test func keysFollowStructureNotNames() {
    var renamed = Sample.softmax(2, 3)
    renamed.stages[0].name = "another"
    #expect(renamed.structuralKey == Sample.softmax(2, 3).structuralKey)
    #expect(renamed.structuralKey != Sample.softmax(3, 2).structuralKey)
    var other = Sample.softmax(2, 3)
    other.outputs = [.stage(1)]
    #expect(other.structuralKey != renamed.structuralKey)
    #expect(renamed.structuralKey.digest.count == 32)
  }

  @Test func keysDoNotDependOnTheOrderOfRows() {
    func program(_ first: Bool) -> StageProgram {
      var b = StageBuilder(inputs: [BufferType(.float32, [4])])
      if first { _ = b.scalars.constant(2, .float32) }
      let y = b.map("y", .float32, [4]) { b, i in
        let x = b.load(.input(0), .float32, at: i)
        return b.subtract(b.exp(x), b.constant(2, .float32))
      }
      return b.finish([y])
    }
    #expect(program(true).structuralKey == program(false).structuralKey)
  }
}
