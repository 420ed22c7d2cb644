import MartletTensors
import MartletTestSupport
import Testing

@testable import MartletLoopIR

@Suite struct InPlaceTests {
  /// The candidates of an output, each confirmed by running the nest with input and output in one memory.
  private func candidates(_ program: StageProgram, output: Int = 0, indexLimit: Int64 = 1) throws -> [Int] {
    let inputs = Sample.inputs(for: program, indexLimit: indexLimit)
    let expected = try program.interpret(inputs: inputs)[output].doubles()
    let schedule = Schedule.default(for: program)
    let nest = lower(program, schedule)
    let outputs = program.outputs.map {
      Tensor(zeros: program.type(of: $0).elementType, shape: program.type(of: $0).extents)
    }
    let candidates = program.inPlaceCandidates(output: output)
    for candidate in candidates {
      for backward in [false, true] {
        let slots = try nest.interpret(
          slots: inputs + outputs, aliases: [inputs.count + output: candidate], backward: backward)
        for (value, wanted) in zip(slots[inputs.count + output].doubles(), expected) {
          let isSame = (value.isNaN && wanted.isNaN) || abs(value - wanted) <= 1e-6 * max(1, abs(wanted))
          #expect(isSame, "\(nest)")
        }
      }
    }
    return candidates
  }

  @Test func elementwiseTakesAnyOperandOfItsShape() throws {
    #expect(try candidates(Sample.biasAdd(20, 33)) == [0])
    #expect(try candidates(Sample.unary([40, 50]) { b, x in b.exp(x) }) == [0])
  }

  @Test(arguments: [[7], [30, 40]]) func eachOutputOfAdamTakesItsInput(_ extents: [Int]) throws {
    let program = Sample.adam(extents)
    for output in 0..<3 { #expect(try candidates(program, output: output) == [0, 1, 2, 3]) }
  }

  @Test(arguments: [(128, 10), (40, 300), (3, 4)]) func rowsTakeTheirOwnRow(_ m: Int, _ n: Int) throws {
    #expect(try candidates(Sample.softmax(m, n)) == [0])
    #expect(try candidates(Sample.layerNorm(m, n)) == [0])
  }

  @Test func scansAndScattersTakeWhatTheyStartFrom() throws {
    for (reversed, exclusive) in [(false, false), (true, true)] {
      let program = Sample.cumulativeSum([4, 20, 3], along: 1, reversed: reversed, exclusive: exclusive)
      #expect(try candidates(program) == [0])
    }
    #expect(try candidates(Sample.scatterAdd(rows: 5, 7, updates: 9), indexLimit: 5) == [0])
  }

  @Test func whatIsReadElsewhereIsNotOverwritten() throws {
    #expect(try candidates(Sample.transpose([16, 16], [1, 0])) == [])
    #expect(try candidates(Sample.matrixProduct(8, 8, 8)) == [])
    #expect(try candidates(Sample.pad([4, 4], before: [0, 0], after: [0, 0])) == [0])
    // Of the same size, but a row of it is read by every row.
    #expect(try candidates(Sample.mean(9, 9, ofColumns: true)) == [])
  }

  @Test func aLaterReaderKeepsItsInput() throws {
    // The second stage reads the whole input by columns after the first has written the result.
    var b = StageBuilder(inputs: [BufferType(.float32, [40, 40])])
    let y = b.map("y", .float32, [40, 40]) { b, i in b.exp(b.load(.input(0), .float32, at: i)) }
    let z = b.map("z", .float32, [40, 40]) { b, i in b.load(.input(0), .float32, at: [i[1], i[0]]) }
    let program = b.finish([y, z])
    #expect(try candidates(program, output: 0) == [])
    #expect(try candidates(program, output: 1) == [])
  }

  @Test func anInputThatIsAlsoAnOutputStays() throws {
    var program = Sample.unary([20]) { b, x in b.exp(x) }
    program.outputs = [.stage(0), .input(0)]
    #expect(program.inPlaceCandidates(output: 0) == [])
  }
}
