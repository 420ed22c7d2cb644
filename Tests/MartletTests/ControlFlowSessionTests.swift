import Martlet
import MartletTestSupport
import Testing

/// Branches, loops, random numbers and checked indices in compiled programs.
@Suite struct ControlFlowSessionTests {
  static let devices = SessionOptions.Device.tested

  private func session(_ graph: Graph, _ device: SessionOptions.Device) throws -> Session {
    try Session(graph, options: SessionOptions(device: device))
  }

  @Test(arguments: devices) func branchesAssignVariables(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [])
    let total = graph.variableHandle(.float32, shape: [], name: "total")
    let start = assign(total, graph.constant(10.0))
    let y = cond(x .> 0) { () -> Output in
      assignAdd(total, x)
      return x * 2
    } else: {
      readVariable(total)
    }
    let session = try session(graph, device)
    try session.run(start)
    #expect(try session.run(y, feeds: [x: Tensor(Float(3))]).item(as: Float.self) == 6)
    #expect(try session.value(of: total).item(as: Float.self) == 13)
    #expect(try session.run(y, feeds: [x: Tensor(Float(-3))]).item(as: Float.self) == 13)
    #expect(try session.value(of: total).item(as: Float.self) == 13)
  }

  @Test(arguments: devices) func gradientsOfBranches(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [3])
    let y = cond(sum(x) .> 0) {
      sum(x * x * x)
    } else: {
      sum(-x)
    }
    let gradient = try #require(try gradients(of: [y], withRespectTo: [x])[0])
    let session = try session(graph, device)
    #expect(try session.run(gradient, feeds: [x: Tensor([1, -2, 3] as [Float])]).scalars() == [3, 12, 27] as [Float])
    #expect(
      try session.run(gradient, feeds: [x: Tensor([1, -2, -3] as [Float])]).scalars() == [-1, -1, -1] as [Float])
  }

  /// Newton's method for √a, and a loop that also changes a variable.
  @Test(arguments: devices) func loops(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let a = graph.placeholder(.float64, shape: [2])
    let steps = graph.variableHandle(.int32, shape: [], name: "steps")
    let start = assign(steps, graph.constant(0))
    let root = whileLoop([a]) {
      max(abs($0[0] * $0[0] - a)) .> 1e-9
    } body: { x in
      assignAdd(steps, graph.constant(1))
      return [(x[0] + a / x[0]) * 0.5]
    }[0]
    let session = try session(graph, device)
    try session.run(start)
    let found = try session.run(root, feeds: [a: Tensor([2.0, 9.0])]).scalars(as: Double.self)
    #expect(abs(found[0] - 1.4142135623730951) < 1e-10)
    #expect(abs(found[1] - 3) < 1e-10)
    #expect((4...8).contains(try session.value(of: steps).item(as: Int32.self)))
  }

  @Test(arguments: devices) func randomNumbersAreThoseOfPhilox(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.randomUniform([1000], seed: 42)
    let n = graph.randomNormal([1000], seed: 42)
    let session = try session(graph, device)
    let first = try session.run([x, n])
    let second = try session.run([x, n])
    #expect(first[0] != second[0])
    var evaluator = ReferenceEvaluator(run: 0)
    let expected = try evaluator.evaluate([x, n])
    #expect(first[0] == expected[0])
    expectClose(first[1], expected[1], relative: 1e-5, absolute: 1e-6)
    evaluator.run = 1
    #expect(try evaluator.evaluate([x])[0] == second[0])
  }

  @Test(arguments: devices) func badIndicesEndTheRun(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let indices = graph.placeholder(.int32, shape: [nil])
    let rows = gather(graph.constant([1.0, 2, 3]), indices, name: "rows")
    let session = try session(graph, device)
    #expect(try session.run(rows, feeds: [indices: Tensor([2, 0] as [Int32])]).scalars() == [3, 1] as [Float])
    #expect(throws: Diagnostic.self) { try session.run(rows, feeds: [indices: Tensor([2, 3] as [Int32])]) }
    #expect(throws: Diagnostic.self) { try session.run(rows, feeds: [indices: Tensor([-1, 0] as [Int32])]) }
  }

  @Test(arguments: devices) func assertionsEndTheRun(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2])
    let check = assertTrue(all(x .> 0), [x], name: "positive")
    let y = graph.withControlDependencies([check.id]) { x * 2 }
    let session = try session(graph, device)
    #expect(try session.run(y, feeds: [x: Tensor([1, 2] as [Float])]).scalars() == [2, 4] as [Float])
    let error = #expect(throws: Diagnostic.self) { try session.run(y, feeds: [x: Tensor([1, -2] as [Float])]) }
    #expect(error?.message == "the assertion does not hold")
    #expect(error?.found == "[1.0, -2.0]")
  }
}
