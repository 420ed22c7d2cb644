import MartletTensors
import MartletTestSupport
import Testing

@testable import MartletLoopIR

/// Runs a program's nest and compares with its stages.
func expectAgreement(
  _ program: StageProgram, inputs: [Tensor], schedule: Schedule? = nil, machine: MachineShape = MachineShape(),
  tolerance: Double = 1e-6, parameters: [Int64] = [], sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let schedule = schedule ?? .default(for: program, machine: machine)
  let nest = lower(program, schedule, for: machine)
  do {
    try program.verify()
    try nest.verify()
  } catch {
    Issue.record("\(error)\n\(program)\n\(schedule)\n\(nest)", sourceLocation: sourceLocation)
    return
  }
  let expected = try program.interpret(inputs: inputs, parameters: parameters)
  let outputs = program.outputs.map {
    Tensor(zeros: program.type(of: $0).elementType, shape: program.type(of: $0).extents)
  }
  for backward in [false, true] {
    let slots = try nest.interpret(slots: inputs + outputs, parameters: parameters, backward: backward)
    for (actual, wanted) in zip(slots.suffix(outputs.count), expected) {
      let pairs = zip(actual.doubles(), wanted.doubles())
      let worst = pairs.reduce(0.0) { worst, pair in
        pair.0 == pair.1 || (pair.0.isNaN && pair.1.isNaN)
          ? worst : max(worst, abs(pair.0 - pair.1) / max(1, abs(pair.1)))
      }
      #expect(worst <= tolerance, "\(schedule)\(program)\n\(nest)", sourceLocation: sourceLocation)
    }
  }
}

@Suite struct LoweringTests {
  static let extents = [0, 1, 3, 15, 16, 17, 33, 100]

  @Test(arguments: extents, extents) func elementwiseAndBroadcast(_ m: Int, _ n: Int) throws {
    try expectAgreement(Sample.biasAdd(m, n), inputs: Sample.inputs(for: Sample.biasAdd(m, n)))
    let unary = Sample.unary([m, n]) { b, x in b.tanh(b.multiply(x, x)) }
    try expectAgreement(unary, inputs: Sample.inputs(for: unary))
  }

  @Test(arguments: extents, extents) func meansOfRowsAndColumns(_ m: Int, _ n: Int) throws {
    for ofColumns in [false, true] {
      let program = Sample.mean(m, n, ofColumns: ofColumns)
      try expectAgreement(program, inputs: Sample.inputs(for: program))
    }
  }

  @Test(arguments: extents, extents) func softmaxAndLayerNorm(_ m: Int, _ n: Int) throws {
    for program in [Sample.softmax(m, n), Sample.layerNorm(m, n), Sample.argMax(m, n)] {
      try expectAgreement(program, inputs: Sample.inputs(for: program))
    }
  }

  @Test(arguments: [[17, 33], [5, 1], [0, 4], [64, 64]]) func transposes(_ extents: [Int]) throws {
    let program = Sample.transpose(extents, [1, 0])
    try expectAgreement(program, inputs: Sample.inputs(for: program))
  }

  @Test(arguments: [[0, 1, 2], [0, 2, 1], [2, 1, 0], [1, 2, 0]]) func transposesOfThreeAxes(_ p: [Int]) throws {
    let program = Sample.transpose([5, 17, 20], p)
    try expectAgreement(program, inputs: Sample.inputs(for: program))
  }

  @Test(arguments: [([33, 50], [1, 0]), ([5, 17, 20], [0, 2, 1]), ([16, 3, 40], [2, 1, 0])])
  func transposesInTiles(_ extents: [Int], _ permutation: [Int]) throws {
    // With so small a cache, every transposition is worth tiles.
    let machine = MachineShape(l1: 256)
    let program = Sample.transpose(extents, permutation)
    let schedule = Schedule.default(for: program, machine: machine)
    #expect(schedule.groups[0].tile != nil)
    try expectAgreement(program, inputs: Sample.inputs(for: program), machine: machine)
  }

  @Test func padsReadNothingOutside() throws {
    for extents in [[3, 5], [1, 17], [16, 16], [0, 2]] {
      let program = Sample.pad(extents, before: [1, 2], after: [0, 3])
      try expectAgreement(program, inputs: Sample.inputs(for: program))
    }
    // Nothing but padding.
    let program = Sample.pad([0], before: [2], after: [3])
    try expectAgreement(program, inputs: Sample.inputs(for: program))
  }

  @Test(arguments: [(3, 4, 5), (17, 20, 33), (1, 100, 1), (64, 1, 2), (2, 0, 3)])
  func matrixProducts(_ m: Int, _ k: Int, _ n: Int) throws {
    let program = Sample.matrixProduct(m, k, n)
    try expectAgreement(program, inputs: Sample.inputs(for: program))
  }

  @Test func gathersAndBadIndices() throws {
    let program = Sample.gather(rows: 9, 20, at: 13)
    try expectAgreement(program, inputs: Sample.inputs(for: program, indexLimit: 9))
    let nest = lower(program, .default(for: program))
    var inputs = Sample.inputs(for: program, indexLimit: 9)
    inputs[1] = Tensor((0..<13).map { $0 == 4 ? 9 : 0 as Int64 })
    let output = Tensor(zeros: .float32, shape: [13, 20])
    let slots = inputs + [output]
    #expect(throws: InterpretationError.badIndex(code: 7, index: 9)) { _ = try nest.interpret(slots: slots) }
  }

  @Test(arguments: [[7], [5, 9], [4, 3, 40], [2, 0, 3], [3, 1, 1]]) func scans(_ extents: [Int]) throws {
    for axis in extents.indices {
      for (reversed, exclusive) in [(false, false), (false, true), (true, false), (true, true)] {
        let program = Sample.cumulativeSum(extents, along: axis, reversed: reversed, exclusive: exclusive)
        try expectAgreement(program, inputs: Sample.inputs(for: program))
      }
    }
  }

  @Test(arguments: [(4, 1, 9), (6, 17, 20), (3, 80, 5), (2, 3, 0)])
  func scattersWithDuplicates(_ rows: Int, _ n: Int, _ updates: Int) throws {
    let program = Sample.scatterAdd(rows: rows, n, updates: updates)
    // One position in six or so is out of bounds.
    try expectAgreement(program, inputs: Sample.inputs(for: program, indexLimit: Int64(rows + 1)))
  }

  @Test(arguments: [[5], [40, 17], [0]]) func severalResultsInOneLoop(_ extents: [Int]) throws {
    let program = Sample.adam(extents)
    var inputs = Sample.inputs(for: program)
    inputs[3] = Tensor(inputs[3].scalars(as: Float.self).map { $0 * $0 }, shape: extents)
    try expectAgreement(program, inputs: inputs)
    let nest = lower(program, .default(for: program))
    #expect(nest.phases.count == (extents.contains(0) ? 0 : 1))
    #expect(nest.temporaries.isEmpty)
  }

  // MARK: Long reductions

  @Test(arguments: [1_000_000, 999_983]) func longReductionsRunInParts(_ count: Int) throws {
    for program in [
      Sample.mean(1, count, ofColumns: false), Sample.mean(count / 20, 20, ofColumns: true), Sample.argMax(2, count),
    ] {
      let schedule = Schedule.default(for: program)
      #expect(schedule.splits.count == 1)
      let nest = lower(program, schedule)
      try nest.verify()
      #expect(nest.phases[0].extent > 8)
      #expect(!nest.temporaries.isEmpty)
    }
    #expect(Schedule.default(for: Sample.mean(1, 1000, ofColumns: false)).splits == [])
    #expect(Schedule.default(for: Sample.mean(count, 1, ofColumns: false)).splits == [])
  }

  @Test(arguments: [(1, 500, 16), (1, 503, 16), (20, 61, 4), (3, 64, 64)])
  func partsOfReductionsMerge(_ results: Int, _ count: Int, _ chunks: Int) throws {
    for program in [
      Sample.mean(results, count, ofColumns: false), Sample.mean(count, results, ofColumns: true),
      Sample.argMax(results, count),
    ] {
      let splits = [Schedule.Split(stage: 0, axis: 0, chunks: chunks)]
      let split = program.splitting(splits)
      // Stages run alone, in groups as the default has them, and without lanes.
      let alone = split.stages.indices.map {
        Schedule.Group(stages: $0..<$0 + 1, shared: split.stages[$0].extents.count, vector: .own(lanes: 8))
      }
      let grouped = Schedule.default(for: split).groups
      for groups in [alone, grouped] {
        let schedule = Schedule(splits: splits, groups: groups)
        try expectAgreement(program, inputs: Sample.inputs(for: program), schedule: schedule)
      }
    }
  }

  @Test func reductionsOverOneDomainRunTogether() throws {
    // Two sums with a map between them that needs only the first.
    var b = StageBuilder(inputs: [BufferType(.float32, [40, 30])])
    let x = b.reduce("x", .float32, [40], over: [30], .sum) { b, i, r in b.load(.input(0), .float32, at: [i[0], r[0]]) }
    let y = b.map("y", .float32, [40]) { b, i in b.exp(b.load(x, .float32, at: i)) }
    let z = b.reduce("z", .float32, [40], over: [30], .sum) { b, i, r in
      let value = b.load(.input(0), .float32, at: [i[0], r[0]])
      return b.multiply(value, value)
    }
    let program = b.finish([y, z])
    try expectAgreement(program, inputs: Sample.inputs(for: program), tolerance: 1e-5)
    let nest = lower(program, .default(for: program))
    #expect(nest.description.split(separator: "\n").filter { $0.contains("reduce ") }.count == 1)
  }

  @Test(arguments: [(10, 1), (10, 3), (7, 7), (12, 5)]) func splitsCoverTheAxis(_ extent: Int, _ chunks: Int) throws {
    let program = Sample.argMax(3, extent)
    let split = program.splitting([Schedule.Split(stage: 0, axis: 0, chunks: chunks)])
    try split.verify()
    let inputs = Sample.inputs(for: program)
    let (whole, parts) = (try program.interpret(inputs: inputs), try split.interpret(inputs: inputs))
    #expect(parts == whole)
  }

  // MARK: Explicit schedules

  @Test(arguments: [4, 8, 16]) func softmaxWithLanesAlongRows(_ lanes: Int) throws {
    let program = Sample.softmax(37, 11)
    for block in [37, 16, 8] {
      let schedule = Schedule(groups: [
        Schedule.Group(stages: 0..<4, shared: 1, vector: .shared(dimension: 0, lanes: lanes, block: block))
      ])
      try expectAgreement(program, inputs: Sample.inputs(for: program), schedule: schedule)
    }
    for vector in [Schedule.Vector.none, .own(lanes: lanes)] {
      let schedule = Schedule(groups: [Schedule.Group(stages: 0..<4, shared: 1, vector: vector)])
      try expectAgreement(program, inputs: Sample.inputs(for: program), schedule: schedule)
      let apart = Schedule(
        groups: (0..<4).map { Schedule.Group(stages: $0..<$0 + 1, shared: $0 % 2 == 0 ? 1 : 2, vector: vector) })
      try expectAgreement(program, inputs: Sample.inputs(for: program), schedule: apart)
    }
  }

  @Test func stagesApartLeaveTemporaries() {
    let program = Sample.softmax(37, 11)
    let apart = Schedule(
      groups: (0..<4).map { Schedule.Group(stages: $0..<$0 + 1, shared: $0 % 2 == 0 ? 1 : 2) })
    let nest = lower(program, apart)
    #expect(nest.argumentCount == 2)
    #expect(nest.temporaries.map(\.elementCount) == [37, 37 * 11, 37])
    let places: [NestBuffer.Place] = [.slot(2), .slot(3), .slot(4)]
    #expect(nest.temporaries.map(\.place) == places)
    #expect(lower(program, .default(for: program)).temporaries.isEmpty)
  }

  @Test(arguments: [(37, 11), (20, 300), (2, 5), (1, 70)])
  func costlyScalarsOfARowAreComputedOnce(_ m: Int, _ n: Int) throws {
    let program = Sample.softmaxOfTwoExponentials(m, n)
    try expectAgreement(program, inputs: Sample.inputs(for: program))
    let schedule = Schedule.default(for: program)
    #expect(schedule.keepsSharedScalars)
    let nest = lower(program, schedule)
    #expect(nest.description.split(separator: "\n").filter { $0.contains("exp(") }.count == 1)
    #expect(nest.temporaries.isEmpty)
    #expect(program.inPlaceCandidates(output: 0) == [0])
  }

  @Test func costlyScalarsAreNotKeptInMemory() {
    // A row would not fit scratch memory; and maps over one domain share their scalars anyway.
    #expect(!Schedule.default(for: Sample.softmaxOfTwoExponentials(64, 100_000)).keepsSharedScalars)
    #expect(!Schedule.default(for: Sample.softmax(64, 100)).keepsSharedScalars)
    #expect(!Schedule.default(for: Sample.adam([100])).keepsSharedScalars)
  }

  @Test func outputsThatAreInputsOrEqualAreCopied() throws {
    var program = Sample.unary([20]) { b, x in b.exp(x) }
    program.outputs = [.stage(0), .input(0), .stage(0)]
    try expectAgreement(program, inputs: Sample.inputs(for: program))
  }

  @Test func parametersReachTheNest() throws {
    var b = StageBuilder(inputs: [])
    let y = b.map("runs", .int64, [20]) { b, i in b.add(b.parameter(1), i[0]) }
    try expectAgreement(b.finish([y]), inputs: [], parameters: [5, 1 << 40])
  }

  // MARK: Random programs and schedules

  @Test(arguments: 0..<60) func randomProgramsUnderRandomSchedules(_ seed: Int) throws {
    var g = SplitMix(seed: UInt64(seed) &+ 7)
    let (m, n) = (Int.random(in: 1...9, using: &g), Int.random(in: 1...20, using: &g))
    let composed = RandomProgram(seed: UInt64(seed), m, n).composed
    let machine = MachineShape(vectorBytes: [16, 32, 64].randomElement(using: &g)!, l1: 256)
    for program in [composed, composed.fused()] {
      guard program.stages.allSatisfy({ $0.result.elementCount < 4000 }) else { continue }
      let inputs = Sample.inputs(for: program, seed: UInt64(seed))
      try expectAgreement(program, inputs: inputs, machine: machine, tolerance: 1e-4)
      let schedule = Schedule.random(for: program, machine, &g)
      try expectAgreement(program, inputs: inputs, schedule: schedule, machine: machine, tolerance: 1e-4)
    }
  }

  @Test func schedulesDependOnShapesAlone() {
    for program in [Sample.softmax(64, 100), Sample.mean(5_003, 20, ofColumns: true), Sample.adam([1000])] {
      #expect(Schedule.default(for: program) == .default(for: program))
      let nest = lower(program, .default(for: program))
      #expect(nest.structuralKey == lower(program, .default(for: program)).structuralKey)
    }
  }
}
