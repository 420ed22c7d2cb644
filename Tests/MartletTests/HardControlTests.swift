import Martlet
import Testing

/// Branches and loops whose values and variables exchange their memory. Expected values are worked out by hand.
@Suite struct HardControlTests {
  static let devices = SessionOptions.Device.tested

  private func session(_ graph: Graph, _ device: SessionOptions.Device) throws -> Session {
    try Session(graph, options: SessionOptions(device: device, instruments: [VerifyInstrument()]))
  }

  private func floats(_ tensor: Tensor) -> [Float] { tensor.scalars() }

  @Test(arguments: devices) func loopsExchangeTheirStates(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let y = graph.placeholder(.float32, shape: [2], name: "y")
    let n = graph.placeholder(.int32, shape: [], name: "n")
    let (zero, one) = (graph.constant(0 as Int32), graph.constant(1 as Int32))
    // a, b and c go round; d stays; e is what a was one step before; f adds to itself.
    let loop = whileLoop([zero, x, y, x, y, x, y]) {
      $0[0] .< n
    } body: { s in
      [s[0] + one, s[2], s[3], s[1], s[4], s[1], s[6] + s[6]]
    }
    let session = try session(graph, device)
    let (p, q): ([Float], [Float]) = ([1, 2], [10, 20])
    let expected: [[[Float]]] = [
      [p, q, p, q, p, q],
      [q, p, p, q, p, [20, 40]],
      [p, p, q, q, q, [40, 80]],
      [p, q, p, q, p, [80, 160]],
    ]
    for (count, states) in expected.enumerated() {
      let results = try session.run(
        Array(loop[1...]) + [x, y], feeds: [x: Tensor(p), y: Tensor(q), n: Tensor(Int32(count))])
      #expect(results.map(floats) == states + [p, q], "after \(count) steps")
    }
  }

  @Test(arguments: devices) func loopsAndBranchesNestAroundVariables(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let a = graph.variableHandle(.float32, shape: [2], name: "a")
    let b = graph.variableHandle(.float32, shape: [2], name: "b")
    let n = graph.placeholder(.int32, shape: [], name: "n")
    let (zero, one) = (graph.constant(0 as Int32), graph.constant(1 as Int32))
    let before = readVariable(a)
    let loop = whileLoop([zero]) {
      $0[0] .< n
    } body: { s in
      let done = cond(floorModulo(s[0], graph.constant(2 as Int32)) .== zero) { () -> [Output] in
        // An even step exchanges the variables.
        let (oldA, oldB) = (readVariable(a), readVariable(b))
        assign(a, oldB)
        assign(b, oldA)
        return [s[0] + one]
      } else: { () -> [Output] in
        let inner = whileLoop([zero]) {
          $0[0] .< graph.constant(3 as Int32)
        } body: { t in
          assignAdd(a, readVariable(b))
          return [t[0] + one]
        }
        return [s[0] + one + inner[0] * zero]
      }
      return done
    }
    let after = graph.withControlDependencies([loop[0].node]) { readVariable(a) }
    let session = try session(graph, device)
    // (1, 2), (10, 20) -> exchanged -> a + 3b -> exchanged -> a + 3b
    let expected: [([Float], [Float])] = [
      ([1, 2], [10, 20]), ([10, 20], [1, 2]), ([13, 26], [1, 2]), ([1, 2], [13, 26]), ([40, 80], [13, 26]),
    ]
    for (count, values) in expected.enumerated() {
      try session.assign(a, Tensor([1, 2] as [Float]))
      try session.assign(b, Tensor([10, 20] as [Float]))
      let results = try session.run([before, loop[0], after], feeds: [n: Tensor(Int32(count))])
      #expect(floats(results[0]) == [1, 2])
      #expect(results[1].item() == Int32(count))
      #expect(floats(results[2]) == values.0, "after \(count) steps")
      #expect(floats(try session.value(of: a)) == values.0)
      #expect(floats(try session.value(of: b)) == values.1)
    }
  }

  @Test(arguments: devices) func branchesHandOnWhatTheyAreGiven(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let p = graph.placeholder(.bool, shape: [], name: "p")
    let (y, z) = (x * 2, x * 3)
    let c = graph.constant([7, 8] as [Float])
    // The one branch exchanges, the other computes; results alias operands, each other and constants.
    let results = cond(p) {
      [z, y, y, c, reshape(x, [2, 1]), reverse(y, axes: [0])]
    } else: {
      [y + 1, z + y, c, c, reshape(c, [2, 1]), z]
    }
    let session = try session(graph, device)
    let feed = Tensor([1, 2] as [Float])
    let yes = try session.run(results + [y], feeds: [x: feed, p: Tensor(true)])
    #expect(yes.map(floats) == [[3, 6], [2, 4], [2, 4], [7, 8], [1, 2], [4, 2], [2, 4]])
    let no = try session.run(results + [y], feeds: [x: feed, p: Tensor(false)])
    #expect(no.map(floats) == [[3, 5], [5, 10], [7, 8], [7, 8], [7, 8], [3, 6], [2, 4]])
  }

  @Test(arguments: devices) func theSameFunctionServesSeveralShapes(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let unknown = ValueType.tensor(TensorType(.float32, [nil]))
    let scale = graph.constant(3 as Float)
    let function = graph.buildFunction("scaled", arguments: [unknown]) { [$0[0] * scale, sum($0[0])] }
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let y = graph.placeholder(.float32, shape: [nil], name: "y")
    let results = graph.call(function, [x]) + graph.call(function, [y]) + graph.call(function, [x])
    let session = try session(graph, device)
    for count in [3, 0, 1] {
      let feed = Tensor([Float](repeating: 1, count: count))
      let found = try session.run(results, feeds: [x: Tensor([1, 2] as [Float]), y: feed])
      let threes = [Float](repeating: 3, count: count)
      #expect(found.map(floats) == [[3, 6], [3], threes, [Float(count)], [3, 6], [3]])
    }
  }

  @Test(arguments: devices) func effectsInUnusedBranchesAndLoopsRun(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let v = graph.variableHandle(.int32, shape: [], name: "v")
    let p = graph.placeholder(.bool, shape: [], name: "p")
    let (zero, one) = (graph.constant(0 as Int32), graph.constant(1 as Int32))
    let branch = cond(p) { () -> [Output] in
      assertTrue(readVariable(v) .< graph.constant(100 as Int32))
      assign(v, readVariable(v) + one)
      return [zero]
    } else: { () -> [Output] in
      // Assigned before it is read: the old value is not needed on this path.
      assign(v, graph.constant(50 as Int32))
      return [readVariable(v)]
    }
    let session = try session(graph, device)
    // Nothing is fetched; the branch is there for its effect.
    try session.assign(v, Tensor(5 as Int32))
    try session.run([], feeds: [p: Tensor(true)], targets: [GraphNode(branch[0])])
    #expect(try session.value(of: v).item() == 6 as Int32)
    #expect(try session.run(branch, feeds: [p: Tensor(false)])[0].item() == 50 as Int32)
    try session.assign(v, Tensor(100 as Int32))
    #expect(throws: Diagnostic.self) { try session.run(branch, feeds: [p: Tensor(true)]) }
    #expect(try session.value(of: v).item() == 100 as Int32)
  }

  /// The gradient computes the branch again, perhaps after loops that the branch came before; it must draw the same numbers.
  @Test(arguments: devices) func gradientsSeeTheRandomNumbersOfTheirBranch(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4], name: "x")
    let p = graph.placeholder(.bool, shape: [], name: "p")
    let y = cond(p) {
      x * graph.randomUniform([4], seed: 7)
    } else: {
      x
    }
    let drawn = graph.randomUniform([4], seed: 7)
    let count = whileLoop([graph.constant(0 as Int32), y]) {
      $0[0] .< graph.constant(3 as Int32)
    } body: { s in
      [s[0] + graph.constant(1 as Int32), s[1] + graph.randomUniform([4], seed: 7)]
    }
    let gradient = try #require(try gradients(of: [y], withRespectTo: [x], upstream: [count[1] - count[1] + 1])[0])
    let session = try session(graph, device)
    let feed = Tensor([1, 1, 1, 1] as [Float])
    for _ in 0..<2 {
      let results = try session.run([y, gradient, drawn, drawn + count[1]], feeds: [x: feed, p: Tensor(true)])
      #expect(results[0] == results[1])
      #expect(results[0] == results[2])
      #expect(Set(floats(results[0])).count == 4)
    }
  }
}
