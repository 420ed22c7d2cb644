import MartletTensors
import MartletTestSupport
import Testing

@testable import MartletLoopIR

@Suite struct StageInterpreterTests {
  @Test func mapsRoundToTheirType() throws {
    let program = Sample.unary([3]) { b, x in b.divide(x, b.constant(3, .float32)) }
    try program.verify()
    let y = try program.interpret(inputs: [Tensor([1, 2, -7] as [Float])])
    #expect(y[0].scalars(as: Float.self) == [1 / 3 as Float, 2 / 3 as Float, -7 / 3 as Float])
  }

  @Test func matrixProduct() throws {
    let program = Sample.matrixProduct(2, 3, 2)
    try program.verify()
    let a = Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
    let b = Tensor([7, 8, 9, 10, 11, 12] as [Float], shape: [3, 2])
    let y = try program.interpret(inputs: [a, b])
    #expect(y[0] == Tensor([58, 64, 139, 154] as [Float], shape: [2, 2]))
  }

  @Test func sumsAreAccumulatedInDoublePrecision() throws {
    // In single precision 1 + 2⁻²⁵ is 1, for each of the 2¹⁰ small terms.
    let program = Sample.mean(1, 1025, ofColumns: false)
    let x = Tensor([1] + [Float](repeating: 0x1p-25, count: 1024), shape: [1, 1025])
    let y = try program.interpret(inputs: [x])
    #expect(y[0].item(as: Float.self) == Float((1 + 0x1p-15) / 1025.0))
  }

  @Test func softmaxOfKnownRow() throws {
    let y = try Sample.softmax(1, 3).interpret(inputs: [Tensor([0, 1, 2] as [Float], shape: [1, 3])])
    // Computed with Python's math.exp.
    let expected: [Float] = [0.09003057317038046, 0.24472847105479764, 0.6652409557748218]
    for (value, wanted) in zip(y[0].scalars(as: Float.self), expected) { #expect(abs(value - wanted) < 1e-7) }
  }

  @Test func argMaxTakesTheFirstOfEqualOnes() throws {
    let x = Tensor([3, 9, 9, 1, -1, -1, -1, -1, 0, 0, 5, 5] as [Float], shape: [3, 4])
    let y = try Sample.argMax(3, 4).interpret(inputs: [x])
    #expect(y[0].scalars(as: Int64.self) == [1, 0, 2])
  }

  @Test func scansInAllDirections() throws {
    let x = Tensor([1, 2, 3, 10, 20, 30] as [Float], shape: [2, 3])
    func run(_ axis: Int, _ reversed: Bool, _ exclusive: Bool) throws -> [Float] {
      try Sample.cumulativeSum([2, 3], along: axis, reversed: reversed, exclusive: exclusive)
        .interpret(inputs: [x])[0].scalars(as: Float.self)
    }
    #expect(try run(1, false, false) == [1, 3, 6, 10, 30, 60])
    #expect(try run(1, true, false) == [6, 5, 3, 60, 50, 30])
    #expect(try run(1, false, true) == [0, 1, 3, 0, 10, 30])
    #expect(try run(1, true, true) == [5, 3, 0, 50, 30, 0])
    #expect(try run(0, false, false) == [1, 2, 3, 11, 22, 33])
    #expect(try run(0, true, true) == [10, 20, 30, 0, 0, 0])
  }

  @Test func scatterAddsDuplicatesAndDropsOutOfBounds() throws {
    let program = Sample.scatterAdd(rows: 3, 2, updates: 4)
    try program.verify()
    let y = try program.interpret(inputs: [
      Tensor([0, 0, 10, 10, 20, 20] as [Float], shape: [3, 2]), Tensor([1, 2, 1, 5] as [Int64]),
      Tensor([1, 2, 3, 4, 5, 6, 7, 8] as [Float], shape: [4, 2]),
    ])
    #expect(y[0].scalars(as: Float.self) == [0, 0, 16, 18, 23, 24])
  }

  @Test func padReadsNothingOutside() throws {
    let program = Sample.pad([1, 2], before: [1, 0], after: [0, 1])
    let y = try program.interpret(inputs: [Tensor([5, 6] as [Float], shape: [1, 2])])
    #expect(y[0] == Tensor([0, 0, 0, 5, 6, 0] as [Float], shape: [2, 3]))
  }

  @Test func badIndexIsReportedWithItsCode() throws {
    let program = Sample.gather(rows: 3, 1, at: 2)
    let x = Tensor([1, 2, 3] as [Float], shape: [3, 1])
    let y = try program.interpret(inputs: [x, Tensor([2, 0] as [Int64])])
    #expect(y[0].scalars(as: Float.self) == [3, 1])
    #expect(throws: InterpretationError.badIndex(code: 7, index: -1)) {
      _ = try program.interpret(inputs: [x, Tensor([1, -1] as [Int64])])
    }
  }

  @Test func unguardedLoadOutOfBoundsIsReported() throws {
    var b = StageBuilder(inputs: [BufferType(.float32, [2])])
    let y = b.map("broken", .float32, [3]) { b, i in b.load(.input(0), .float32, at: i) }
    let program = b.finish([y])
    #expect(throws: InterpretationError.outOfBounds(name: "in0", offset: 2, elementCount: 2)) {
      _ = try program.interpret(inputs: [Tensor([1, 2] as [Float])])
    }
  }

  @Test func emptyDomains() throws {
    let empty = try Sample.biasAdd(0, 4).interpret(inputs: [
      Tensor([] as [Float], shape: [0, 4]), Tensor([1, 2, 3, 4] as [Float]),
    ])
    #expect(empty[0].elementCount == 0)
    let sums = try Sample.matrixProduct(2, 0, 2).interpret(inputs: [
      Tensor([] as [Float], shape: [2, 0]), Tensor([] as [Float], shape: [0, 2]),
    ])
    #expect(sums[0].scalars(as: Float.self) == [0, 0, 0, 0])
  }

  @Test func parametersAndWrongInputs() throws {
    var b = StageBuilder(inputs: [])
    let y = b.map("runs", .int64, []) { b, _ in b.parameter(0) }
    let program = b.finish([y])
    #expect(try program.interpret(inputs: [], parameters: [41])[0].item(as: Int64.self) == 41)
    #expect(throws: InterpretationError.self) { _ = try program.interpret(inputs: [Tensor(1 as Float)]) }
  }
}
