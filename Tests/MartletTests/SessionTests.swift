import Martlet
import Testing

/// Runs on both devices: the interpreter and machine code.
@Suite struct SessionTests {
  static let devices = SessionOptions.Device.tested

  private func session(_ graph: Graph, _ device: SessionOptions.Device) throws -> Session {
    try Session(graph, options: SessionOptions(device: device))
  }

  @Test(arguments: devices)
  func computesWhatTheGraphSays(device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, 3], name: "x")
    let w = graph.constant([1, 2, 3, 4, 5, 6] as [Float], shape: [3, 2])
    let y = relu(matMul(x, w) - 10)
    let session = try session(graph, device)
    let feed = Tensor([1, 1, 1, 2, 0, 1] as [Float], shape: [2, 3])
    let result = try session.run(y, feeds: [x: feed])
    #expect(result == Tensor([0, 2, 0, 0] as [Float], shape: [2, 2]))
    // Another batch is another plan; the first one stays.
    let other = try session.run(y, feeds: [x: Tensor([0, 0, 2] as [Float], shape: [1, 3])])
    #expect(other == Tensor([0, 2] as [Float], shape: [1, 2]))
    #expect(try session.run(y, feeds: [x: feed]) == result)
    #expect(session.statistics.compilations.map(\.reason) == [.first, .shapes])
    #expect(session.statistics.runs == 3)
  }

  @Test(arguments: devices)
  func keepsVariablesFromRunToRun(device: SessionOptions.Device) throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [3], name: "v")
    let start = assign(v, graph.constant([1, 2, 3] as [Float], shape: [3]))
    let before = readVariable(v)
    let step = assignAdd(v, graph.constant([1, 1, 1] as [Float], shape: [3]))
    let session = try session(graph, device)
    #expect(throws: Diagnostic.self) { try session.run(before) }
    try session.run(start)
    #expect(try session.value(of: v).scalars() == [1, 2, 3] as [Float])
    // What is fetched is the value at its place among the effects.
    #expect(try session.run([before], targets: [step])[0].scalars() == [1, 2, 3] as [Float])
    #expect(try session.run(before).scalars() == [2, 3, 4] as [Float])
    try session.assign(v, Tensor([7, 8, 9] as [Float]))
    try session.run(step)
    #expect(try session.value(of: before).scalars() == [8, 9, 10] as [Float])
  }

  @Test(arguments: devices)
  func takesTheShapeOfADefaultThatIsNotReplaced(device: SessionOptions.Device) throws {
    let graph = Graph()
    let start = graph.constant([1, 2, 3] as [Float], shape: [3])
    let x = graph.placeholder(defaultingTo: start, shape: .unknown, name: "x")
    let y = graph.placeholder(defaultingTo: x, shape: [nil], name: "y")
    let total = sum(reshape(y, [-1]) * 2)
    let session = try session(graph, device)
    #expect(try session.run(total).item(as: Float.self) == 12)
    #expect(try session.run(y).scalars() == [1, 2, 3] as [Float])
    #expect(try session.run(total, feeds: [x: Tensor([5] as [Float])]).item(as: Float.self) == 10)
    #expect(try session.run([x, total], feeds: [y: Tensor([7, 8] as [Float])])[1].item(as: Float.self) == 30)
  }

  @Test func refusesRunsThatNoMachineHasTheMemoryFor() throws {
    let graph = Graph()
    let huge = fill([1 << 20, 1 << 21], with: graph.constant(1.5), name: "huge")
    let session = try Session(graph)
    let error = #expect(throws: Diagnostic.self) { try session.run(-huge) }
    #expect(error?.message == "a run needs more memory than this machine has")
    // Where the array is only used, it is never made.
    #expect(try session.run(huge[0, 5]).item(as: Float.self) == 1.5)
  }

  @Test func updatesVariablesInPlace() throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [1000], name: "v")
    let step = assign(v, readVariable(v) * 2 + 1)
    let session = try Session(graph)
    let plan = try session.plan(for: [], targets: [step])
    #expect(PlanVerifier.violations(of: plan) == [])
    // Without fusion there is an intermediate value, but the variable itself is never copied.
    #expect(plan.arenaBytes <= 4032)
    #expect(!plan.description.contains("copy"))
  }

  @Test(arguments: devices)
  func exchangesVariables(device: SessionOptions.Device) throws {
    let graph = Graph()
    let a = graph.variableHandle(.int32, shape: [2], name: "a")
    let b = graph.variableHandle(.int32, shape: [2], name: "b")
    let (oldA, oldB) = (readVariable(a), readVariable(b))
    let swap = [assign(a, oldB), assign(b, oldA)]
    let session = try session(graph, device)
    try session.assign(a, Tensor([1, 2] as [Int32]))
    try session.assign(b, Tensor([3, 4] as [Int32]))
    try session.run([], targets: swap)
    #expect(try session.value(of: a).scalars() == [3, 4] as [Int32])
    #expect(try session.value(of: b).scalars() == [1, 2] as [Int32])
  }

  @Test(arguments: devices)
  func feedsAndFetchesAnyValue(device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let hidden = x * 3
    let y = hidden + 1
    let session = try session(graph, device)
    // The placeholder is not needed where what it leads to is fed.
    let results = try session.run([y, hidden, hidden], feeds: [hidden: Tensor([1, 2] as [Float])])
    #expect(results.map { $0.scalars(as: Float.self) } == [[2, 3], [1, 2], [1, 2]])
    let constant = graph.constant([5, 6] as [Float], shape: [2])
    #expect(try session.run(constant).scalars() == [5, 6] as [Float])
    #expect(session.statistics.compilations.last?.reason == .growth)
  }

  @Test func namesWhatIsWrongWithFeeds() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, 3], name: "images")
    let y = x * 2
    let session = try Session(graph)
    let missing = #expect(throws: DiagnosticList.self) { try session.run(y) }
    #expect(missing?.description.contains("Placeholder 'images': the run needs a value") == true)
    #expect(throws: DiagnosticList.self) { try session.makeCallable(fetches: [y]) }
    let wrong = #expect(throws: DiagnosticList.self) {
      try session.run(y, feeds: [x: Tensor([1, 2] as [Float], shape: [1, 2])])
    }
    #expect(wrong?.description.contains("'images'") == true)
    #expect(wrong?.description.contains("found float32[1, 2]") == true)
    let type = #expect(throws: DiagnosticList.self) {
      try session.run(y, feeds: [x: Tensor([1, 2, 3] as [Int32], shape: [1, 3])])
    }
    #expect(type?.description.contains("found int32[1, 3]") == true)
  }

  @Test(arguments: devices)
  func namesTheNodeOfABadIndex(device: SessionOptions.Device) throws {
    let graph = Graph()
    let table = graph.constant([1, 2, 3] as [Float], shape: [3])
    let index = graph.placeholder(.int32, shape: [nil], name: "index")
    let line = #line + 1
    let y = gather(table, index, name: "lookup")
    let session = try session(graph, device)
    #expect(try session.run(y, feeds: [index: Tensor([2, 0] as [Int32])]).scalars() == [3, 1] as [Float])
    let error = #expect(throws: Diagnostic.self) { try session.run(y, feeds: [index: Tensor([7, 0] as [Int32])]) }
    #expect(error?.operation == "GatherV2 'lookup'")
    #expect(error?.message.contains("index 7") == true)
    #expect(error?.site.resolved?.line == line)
  }

  @Test(arguments: devices)
  func runsBranchesAndLoops(device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let isPositive = graph.placeholder(.bool, shape: [], name: "p")
    let chosen = cond(isPositive) {
      [x * 2, x]
    } else: {
      [x - 1, x + 1]
    }
    let loop = whileLoop([graph.constant(0 as Int32), x]) { state in
      state[0] .< graph.constant(5 as Int32)
    } body: { state in
      [state[0] + graph.constant(1 as Int32), state[1] + state[1]]
    }
    let session = try session(graph, device)
    let feed = Tensor([1, -1] as [Float])
    let results = try session.run(chosen + loop, feeds: [x: feed, isPositive: Tensor(true)])
    #expect(results[0].scalars() == [2, -2] as [Float])
    #expect(results[1].scalars() == [1, -1] as [Float])
    #expect(results[2].scalars() == [5] as [Int32])
    #expect(results[3].scalars() == [32, -32] as [Float])
    let other = try session.run(chosen, feeds: [x: feed, isPositive: Tensor(false)])
    #expect(other.map { $0.scalars(as: Float.self) } == [[0, -2], [2, 0]])
  }

  @Test(arguments: devices)
  func carriesVariablesThroughBranchesAndLoops(device: SessionOptions.Device) throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [], name: "v")
    let p = graph.placeholder(.bool, shape: [], name: "p")
    let choice = cond(p) {
      assign(v, readVariable(v) * 10)
      return [readVariable(v)]
    } else: {
      [graph.constant(-1 as Float)]
    }
    let count = graph.withControlDependencies([choice[0].node]) {
      whileLoop([graph.constant(0 as Int32)]) {
        $0[0] .< graph.constant(3 as Int32)
      } body: { state in
        assignAdd(v, graph.constant(1 as Float))
        return [state[0] + graph.constant(1 as Int32)]
      }
    }
    let session = try session(graph, device)
    try session.assign(v, Tensor(2 as Float))
    let results = try session.run(choice + count, feeds: [p: Tensor(true)])
    #expect(results[0].item() == 20 as Float)
    #expect(try session.value(of: v).item() == 23 as Float)
    #expect(try session.run(choice + count, feeds: [p: Tensor(false)])[0].item() == -1 as Float)
    #expect(try session.value(of: v).item() == 26 as Float)
  }

  @Test(arguments: devices)
  func drawsOtherNumbersInEachIterationAndRun(device: SessionOptions.Device) throws {
    let graph = Graph()
    let zero = graph.constant(0 as Float)
    let loop = whileLoop([graph.constant(0 as Int32), zero, zero]) {
      $0[0] .< graph.constant(2 as Int32)
    } body: { state in
      [state[0] + graph.constant(1 as Int32), state[2], graph.randomUniform([], seed: 3)]
    }
    let session = try session(graph, device)
    let first = try session.run(Array(loop[1...])).map { $0.item(as: Float.self) }
    let second = try session.run(Array(loop[1...])).map { $0.item(as: Float.self) }
    #expect(Set(first + second).count == 4)
    #expect(try self.session(graph, device).run(Array(loop[1...])).map { $0.item(as: Float.self) } == first)
  }

  @Test func ordersChecksAndEndsARunThatFailsOne() throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [], name: "v")
    let x = graph.placeholder(.float32, shape: [], name: "x")
    let check = assertTrue(x .> 0, [x], name: "positive")
    let step = graph.withControlDependencies([check.id]) { assign(v, x) }
    let session = try Session(graph)
    try session.run(step, feeds: [x: Tensor(3 as Float)])
    let error = #expect(throws: Diagnostic.self) { try session.run(step, feeds: [x: Tensor(-1 as Float)]) }
    #expect(error?.operation == "Assert 'positive'")
    #expect(error?.description.contains("-1.0") == true)
    #expect(try session.value(of: v).item() == 3 as Float)
  }

  @Test func namesTheVariableWithoutAValue() throws {
    let graph = Graph()
    let v = graph.variable("weights", [2], .zeros)
    let session = try Session(graph)
    let error = #expect(throws: Diagnostic.self) { try session.run(v * 2) }
    #expect(error?.message == "the variable 'weights' is read before it has a value")
    #expect(throws: Diagnostic.self) { try session.value(of: v) }
    try session.run(graph.initializer)
    #expect(try session.run(v + 1).scalars() == [1, 1] as [Float])
    #expect(throws: Diagnostic.self) { try session.assign(v, Tensor([1] as [Float])) }
  }

  @Test func repeatsARunByItsCallable() throws {
    let graph = Graph()
    let a = graph.placeholder(.float32, shape: [nil], name: "a")
    let b = graph.placeholder(.float32, shape: [nil], name: "b")
    let session = try Session(graph)
    let callable = try session.makeCallable(fetches: [a - b], feeds: [b, a])
    #expect(try callable(Tensor([1, 2] as [Float]), Tensor([5, 5] as [Float]))[0].scalars() == [4, 3] as [Float])
    #expect(try callable(Tensor([1] as [Float]), Tensor([5] as [Float]))[0].scalars() == [4] as [Float])
  }

  @Test func tracesEachStep() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2, 2], name: "x")
    let y = matMul(x, x) + 1
    let session = try Session(graph)
    let trace = RunTrace()
    let feed = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    _ = try session.run(y, feeds: [x: feed], options: RunOptions(trace: trace))
    #expect(trace.events.contains { $0.category == "library" && $0.operation == "MatMul" })
    #expect(trace.chromeJSON.hasPrefix("{\"traceEvents\":["))
  }
}
