import Martlet
import MartletGraph
import MartletOperations
import MartletTensors
import Testing

/// Random numbers in sub-graphs: which are equal and which are not, whatever else is run.
@Suite struct RandomSessionTests {
  static let devices = SessionOptions.Device.tested

  private func floats(_ tensor: Tensor) -> [Float] { tensor.scalars() }

  /// The first run of a new session.
  private func run(
    _ graph: Graph, _ fetches: [Output], _ device: SessionOptions.Device = .interpreter
  ) throws -> [[Float]] {
    let session = try Session(graph, options: SessionOptions(device: device, instruments: [VerifyInstrument()]))
    return try session.run(fetches).map(floats)
  }

  /// Element i of run 0 has in iteration k the block of counter (i, 0, 0, k) under the key of the seeds.
  @Test(arguments: devices) func iterationsCountInTheirOwnLoop(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let (zero, one) = (graph.constant(0 as Int32), graph.constant(1 as Int32))
    let start = graph.constant([Float](repeating: 0, count: 4))
    func last(_ count: Int32) -> Output {
      whileLoop([zero, start]) {
        $0[0] .< graph.constant(count)
      } body: {
        [$0[0] + one, graph.randomUniform([4], seed: 42)]
      }[1]
    }
    let loops = [last(3), last(2), last(3)]
    let key = RandomStreamKey(seed: 87_654_321, seed2: 42).bits
    func expected(_ iteration: UInt32) -> [Float] {
      (0..<4 as Range<UInt32>).map { i in
        let block = Philox.block(
          counter: (i, 0, 0, iteration), key: (UInt32(truncatingIfNeeded: key), UInt32(key >> 32)))
        return Float(block.0 >> 8) / 16_777_216
      }
    }
    #expect(try run(graph, loops, device) == [expected(3), expected(2), expected(3)])
    #expect(try run(graph, [loops[2]], device) == [expected(3)])
  }

  @Test(arguments: devices) func iterationsOfNestedLoopsDiffer(_ device: SessionOptions.Device) throws {
    let graph = Graph()
    let (zero, one) = (graph.constant(0 as Int32), graph.constant(1 as Int32))
    let sums = graph.constant([Float](repeating: 0, count: 12))
    func place(_ number: Output) -> Output { oneHot(number, depth: 12, type: .float32) }
    let state = whileLoop([zero, sums]) {
      $0[0] .< graph.constant(3 as Int32)
    } body: { outer in
      let base = outer[0] * graph.constant(4 as Int32)
      let inner = whileLoop([zero, outer[1]]) {
        $0[0] .< graph.constant(3 as Int32)
      } body: { s in
        [s[0] + one, s[1] + place(base + s[0]) * graph.randomUniform([1], seed: 7)]
      }
      return [
        outer[0] + one, inner[1] + place(base + graph.constant(3 as Int32)) * graph.randomUniform([1], seed: 7),
      ]
    }
    let values = try run(graph, [state[1]], device)[0]
    #expect(Set(values).count == 12)
  }

  /// A function whose numbers hang on its node's name, on a stream of its own, or on a seed of the user's.
  enum Drawing: CaseIterable {
    case byName, unseeded, seeded

    func numbers(_ graph: Graph) -> Output {
      switch self {
      case .byName: graph.innermost.addOne(RandomUniform(), [graph.constant([4])])
      case .unseeded: graph.randomUniform([4])
      case .seeded: graph.randomUniform([4], seed: 3)
      }
    }
  }

  @Test(arguments: Drawing.allCases, devices)
  func callsDrawNumbersOfTheirOwn(_ drawing: Drawing, _ device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.constant([Float](repeating: 0, count: 4))
    let inner = graph.buildFunction("inner", arguments: [x.type]) { [$0[0] + drawing.numbers(graph)] }
    let outer = graph.buildFunction("outer", arguments: [x.type]) { arguments in
      [graph.call(inner, arguments)[0], graph.call(inner, arguments)[0]]
    }
    let branch = cond(graph.constant(true)) {
      graph.call(inner, [x])
    } else: {
      [x]
    }
    let all = graph.call(outer, [x]) + graph.call(outer, [x]) + graph.call(inner, [x]) + branch
    let values = try run(graph, all, device)
    #expect(Set(values).count == (drawing == .seeded ? 1 : 6))
    // What else is run makes no difference.
    for (i, output) in all.enumerated() { #expect(try run(graph, [output], device) == [values[i]]) }
    #expect(try run(graph, all.reversed(), device) == values.reversed())
    #expect(try run(graph, all, device) == values)
  }

  @Test func streamsOfCallsAreWritten() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4], name: "x")
    let function = graph.buildFunction("f", arguments: [x.type]) { arguments in
      [arguments[0] + graph.innermost.addOne(RandomUniform(), [graph.constant([4])]) + graph.randomUniform([4])]
    }
    let y = graph.call(function, [x], name: "y")[0] + graph.call(function, [x], name: "z")[0]
    let feed = Tensor([0, 0, 0, 0] as [Float])
    let expected = try Session(graph).run([y], feeds: [x: feed])
    let program = try Session(graph).program(for: [y], feeds: [x: x.type.tensor ?? feed.type], until: .canonical)
    let written = try Graph(program, outputNames: ["sum"])
    let parsed = try Graph(parsing: GraphPrinter().print(written)) { name, attributes throws(Diagnostic) in
      try Catalog.standard.operation(named: name, attributes: attributes)
    }
    for copy in [written, parsed, try Graph(try written.graphDef())] {
      let names = try ["sum", "x"].map { try #require(copy.output(named: $0)) }
      #expect(try Session(copy).run([names[0]], feeds: [names[1]: feed]) == expected)
    }
  }
}
