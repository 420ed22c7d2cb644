import Martlet
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// Whole runs on a stand-in for a GPU, whose streams do their work as late and in as bad an order as events allow.
@Suite struct RunTests {
  /// Exact on all element types, with variables.
  @Test(arguments: 0..<6 as Range<UInt64>)
  func randomGraphs(seed: UInt64) throws {
    let random = MixedGraph(seed: seed)
    try StubSession.check(
      random.graph, random.fetches, feeds: random.feeds, targets: random.targets, variables: random.variables,
      seeds: [0, 1, 2], relative: 0, absolute: 0)
  }

  /// On a device of a generation that the compiler does not know, the driver compiles PTX, of users' kernels too.
  @Test func deviceNewerThanTheCompiler() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [7, 33], name: "x")
    let fetches = [softmax(x * 2), sum(x, axes: [0])]
    let feeds = [x: randomTensor([7, 33], seed: 1)]
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run(fetches, feeds: feeds)
    let stub = try StubSession()
    stub.machine.stub.setCapability(120)
    try { () throws in
      for (found, expected) in zip(try stub(graph).run(fetches, feeds: feeds), expected) {
        expectClose(found, expected, relative: 1e-5, absolute: 1e-6)
      }
    }()
    stub.machine.expectClean()
  }

  /// A filter that a library has in its own layout does not stay on the device in the other, unless something else reads it.
  @Test(arguments: [true, false]) func constantsThatNothingReads(isReadElsewhere: Bool) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [1, 6, 6, 4], name: "x")
    let filter = graph.constant(randomTensor([3, 3, 4, 5], seed: 2))
    let other = graph.placeholder(.float32, shape: [3, 3, 4, 5], name: "other")
    let y = conv2D(x, filter, padding: .same)
    let fetches = isReadElsewhere ? [y, filter * other] : [y]
    var feeds = [x: randomTensor([1, 6, 6, 4], seed: 1)]
    if isReadElsewhere { feeds[other] = randomTensor([3, 3, 4, 5], seed: 3) }
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run(fetches, feeds: feeds)
    let stub = try StubSession()
    try { () throws in
      let session = try stub(graph)
      for _ in 0..<2 {
        for (found, expected) in zip(try session.run(fetches, feeds: feeds), expected) {
          expectClose(found, expected, relative: 1e-5, absolute: 1e-6)
        }
      }
      let copies = stub.machine.stub.leaks.count { $0 == "720 bytes of device memory" }
      #expect(copies == (isReadElsewhere ? 2 : 1))
    }()
    stub.machine.expectClean()
  }

  @Test(arguments: [true, false])
  func stepsOfTraining(usingGraphs: Bool) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [6, 5], name: "x")
    let labels = graph.placeholder(.int32, shape: [6], name: "labels")
    let w = graph.variable("w", [5, 4], .zeros)
    let b = graph.variable("b", [4], .zeros)
    let loss = mean(sparseSoftmaxCrossEntropy(logits: tanh(matMul(x, w) + b), labels: labels))
    let train = Adam(learningRate: 0.1).minimize(loss)
    let feeds = [x: randomTensor([6, 5], seed: 1), labels: Tensor([0, 1, 2, 3, 0, 1] as [Int32])]
    let interpreter = try Session(graph, options: SessionOptions(device: .interpreter))
    let stub = try StubSession(seed: 3, options: SessionOptions(cuda: CUDAOptions(usesGraphs: usingGraphs)))
    try { () throws in
      let session = try stub(graph)
      for session in [interpreter, session] {
        try session.run(graph.initializer)
        try session.assign(w, randomTensor([5, 4], seed: 2))
      }
      for _ in 0..<4 {
        let expected = try interpreter.run([loss], feeds: feeds, targets: [train])
        let found = try session.run([loss], feeds: feeds, targets: [train])
        expectClose(found[0], expected[0], relative: 1e-5, absolute: 1e-6)
      }
      expectClose(try session.value(of: w), try interpreter.value(of: w), relative: 1e-5, absolute: 1e-6)
      #expect((stub.machine.stub.count("cuGraphLaunch") > 0) == usingGraphs)
      #expect(stub.machine.stub.count("pageable copies") == 0)
    }()
    stub.machine.expectClean()
  }

  @Test func branchesAndLoops() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [8], name: "x")
    let isPositive = sum(x) .> graph.constant(Float(0))
    let branch = cond(isPositive) {
      [x * 2, exp(x)]
    } else: {
      [x - 1, graph.constant(Float(0)) * x]
    }
    let loop = whileLoop([graph.constant(Int32(0)), x]) { values in
      values[0] .< graph.constant(Int32(5))
    } body: { values in
      [
        values[0] + graph.constant(Int32(1)),
        values[1] * 0.5
          + cond(values[0] .> graph.constant(Int32(2))) {
            x
          } else: {
            -x
          },
      ]
    }
    for sign in [Float(1), -1] {
      let feed = Tensor((0..<8).map { sign * Float($0) }, shape: [8])
      try StubSession.check(graph, branch + loop, feeds: [x: feed])
    }
  }

  /// The processor's stream of random numbers bit by bit, in loops and from run to run.
  @Test func randomNumbers() throws {
    let graph = Graph()
    let noise = graph.randomUniform([33], seed: 5)
    let loop = whileLoop([graph.constant(Int32(0)), graph.constant(Tensor(zeros: .float32, shape: [33]))]) { values in
      values[0] .< graph.constant(Int32(3))
    } body: { values in
      [values[0] + graph.constant(Int32(1)), values[1] + graph.randomUniform([33], seed: 9)]
    }
    try StubSession.check(graph, [noise, loop[1]], runs: 3, relative: 0, absolute: 0)
  }

  /// Branches need the run's numbers, and leave those of their loops behind.
  @Test(arguments: [true, false]) func randomNumbersInBranches(isTaken: Bool) throws {
    let graph = Graph()
    let p = graph.placeholder(.bool, shape: [], name: "p")
    let v = graph.variableHandle(.float32, shape: [8], name: "v")
    let start = readVariable(v)
    let branch = cond(p) {
      start + graph.randomUniform([8], seed: 3)
    } else: {
      start * 2
    }
    let looping = cond(p) {
      whileLoop([graph.constant(Int32(0)), start]) { values in
        values[0] .< graph.constant(Int32(3))
      } body: { values in
        [values[0] + graph.constant(Int32(1)), values[1] + graph.randomUniform([8], seed: 4)]
      }[1]
    } else: {
      start
    }
    let after = graph.randomUniform([8], seed: 5) + looping * 0
    try StubSession.check(
      graph, [branch, looping, after], feeds: [p: Tensor(isTaken)],
      variables: [(v, randomTensor([8], seed: 1))], runs: 3)
  }

  /// Floats at scattered positions are summed in one order, unless the session leaves it open and is not deterministic.
  @Test(arguments: [false, true], [false, true]) func unorderedSums(isAllowed: Bool, isDeterministic: Bool) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [300, 3], name: "x")
    let positions = graph.constant(Tensor((0..<300).map { Int32($0 * $0 % 7) }, shape: [300]))
    let y = unsortedSegmentSum(x, positions, count: graph.constant(Int32(7)))
    let options = SessionOptions(
      isDeterministic: isDeterministic, cuda: CUDAOptions(allowsUnorderedSums: isAllowed))
    let whole = Tensor((0..<900).map { Float($0 % 17) / 4 }, shape: [300, 3])
    let plan = try StubSession(options: options)(graph).plan(for: [y], feeds: [x: whole.type])
    #expect("\(plan.kernels.map { $0.code })".contains(": atomics") == (isAllowed && !isDeterministic))
    // Sums of quarters are exact.
    try StubSession.check(graph, [y], feeds: [x: whole], options: options, relative: 0, absolute: 0)
  }

  /// What is fed, fetched, constant or a variable without anything being computed.
  @Test func valuesThatPassThrough() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [3], name: "x")
    let c = graph.constant(Tensor([1, 2, 3] as [Float]))
    let v = graph.variableHandle(.float32, shape: [3], name: "v")
    let empty = graph.placeholder(.float32, shape: [0, 4], name: "empty")
    try StubSession.check(
      graph, [x, c, readVariable(v), empty, x + c, sum(empty)],
      feeds: [x: Tensor([4, 5, 6] as [Float]), empty: Tensor(zeros: .float32, shape: [0, 4])],
      variables: [(v, Tensor([7, 8, 9] as [Float]))])
  }

  /// Large fetches are in the pinned memory that the device has copied to, and stay as they are while somebody holds them.
  @Test func largeFetches() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [40_000], name: "x")
    let y = exp(x)
    let stub = try StubSession(seed: 1)
    func feed(_ seed: UInt64) -> Tensor { randomTensor([40_000], seed: seed) }
    let expected = try (0..<3).map { seed in
      try Session(graph, options: SessionOptions(device: .interpreter)).run([y, sum(y)], feeds: [x: feed(seed)])
    }
    try { () throws in
      let session = try stub(graph)
      let both = [y, sum(y)]
      let first = try session.run(both, feeds: [x: feed(0)])
      #expect(first[0].storage.isAdopted && !first[1].storage.isAdopted)
      let second = try session.run(both, feeds: [x: feed(1)])
      let blocks = stub.machine.stub.count("cuMemHostAlloc")
      for _ in 0..<3 { expectClose(try session.run(both, feeds: [x: feed(2)])[0], expected[2][0]) }
      // One more block than are held, for all other runs.
      #expect(stub.machine.stub.count("cuMemHostAlloc") == blocks + 1)
      for (found, expected) in zip([first, second], expected) { expectClose(found[0], expected[0]) }
      stub.machine.stub.fail("cuMemcpyDtoHAsync_v2", nth: 2, code: 2)
      #expect(throws: (any Error).self) {
        for _ in 0..<2 { _ = try session.run(both, feeds: [x: feed(2)]) }
      }
      expectClose(try session.run(both, feeds: [x: feed(2)])[0], expected[2][0])
    }()
    stub.machine.expectClean()
  }

  @Test func severalThreads() async throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [50], name: "x")
    let y = sum(exp(x) * x)
    let stub = try StubSession(seed: 4)
    let session = try stub(graph)
    let expected = try (0..<8).map { i in
      try Session(graph, options: SessionOptions(device: .interpreter)).run(
        [y], feeds: [x: randomTensor([50], seed: UInt64(i))])[0]
    }
    try await withThrowingTaskGroup(of: (Int, Tensor).self) { group in
      for i in 0..<8 {
        group.addTask { (i, try session.run([y], feeds: [x: randomTensor([50], seed: UInt64(i))])[0]) }
      }
      for try await (i, found) in group { expectClose(found, expected[i], relative: 1e-5, absolute: 1e-5) }
    }
    #expect(stub.machine.stub.report == [])
  }

  @Test func traces() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [50], name: "x")
    let y = sum(exp(x), name: "y")
    let trace = RunTrace()
    let stub = try StubSession()
    let session = try stub(graph)
    let feeds = [x: randomTensor([50], seed: 1)]
    let plain = try session.run([y], feeds: feeds)
    let traced = try session.run([y], feeds: feeds, options: RunOptions(trace: trace))
    #expect(plain == traced)
    let categories = trace.events.map(\.category)
    #expect(categories.contains("kernel") && categories.contains("copy"))
    #expect(trace.events.contains { $0.name == "y" })
  }

  @Test func savesWhatIsOnTheDevice() throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [2], name: "v")
    let step = assignAdd(v, graph.constant(Tensor([1, 2] as [Float])))
    let stub = try StubSession()
    let session = try stub(graph)
    try session.assign(v, Tensor([0, 0] as [Float]))
    for _ in 0..<3 { try session.run(step) }
    #expect(try session.value(of: v) == Tensor([3, 6] as [Float]))
    try session.assign(v, Tensor([10, 20] as [Float]))
    try session.run(step)
    #expect(try session.value(of: v) == Tensor([11, 22] as [Float]))
  }
}
