import Martlet
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// Loops whose number of iterations the host knows.
@Suite struct CountedLoopTests {
  /// A counter that goes from a number to a limit, and halves beside it.
  struct Counting: CustomTestStringConvertible {
    var start: Int32
    var step: Int32
    var limit: Int32
    /// Whether the limit is fed, and whether the condition holds for it, too.
    var isFed = false
    var isInclusive = false
    var testDescription: String { "from \(start) by \(step) \(isInclusive ? "through" : "to") \(limit)" }

    /// By the definition of the loop.
    var count: Int {
      var (count, value) = (0, start)
      func goesOn() -> Bool {
        let isBefore = step > 0 ? value < limit : limit < value
        return isBefore || (isInclusive && value == limit)
      }
      while goesOn() {
        count += 1
        value = value &+ step
      }
      return count
    }

    func loop(_ graph: Graph, _ x: Output, limit: Output) -> [Output] {
      whileLoop([graph.constant(start), x]) { values in
        let (a, b) = step > 0 ? (values[0], limit) : (limit, values[0])
        return isInclusive ? a .<= b : a .< b
      } body: { values in
        [values[0] + graph.constant(step), values[1] * 0.5]
      }
    }
  }

  static let countings = [
    Counting(start: 0, step: 1, limit: 5), Counting(start: 3, step: 4, limit: 20, isInclusive: true),
    Counting(start: 7, step: 1, limit: 7), Counting(start: 9, step: -2, limit: 0, isFed: true),
    Counting(start: 9, step: -3, limit: 0, isFed: true, isInclusive: true),
    Counting(start: -2, step: 5, limit: 13, isFed: true), Counting(start: 1, step: 1, limit: -4, isFed: true),
  ]

  @Test(arguments: countings) func counts(_ counting: Counting) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [8], name: "x")
    let limit = counting.isFed ? graph.placeholder(.int32, shape: [], name: "limit") : graph.constant(counting.limit)
    let loop = counting.loop(graph, x, limit: limit)
    var feeds = [x: randomTensor([8], seed: 1)]
    if counting.isFed { feeds[limit] = Tensor(counting.limit) }
    let plan = try StubSession()(graph).plan(for: loop, feeds: feeds.mapValues(\.type))
    let work = DevicePlanner.plan(plan, for: .h100)
    let found = work.blocks[0].parts.compactMap { part -> LoopCount? in
      if case .loop(_, _, _, let count) = part { count } else { nil }
    }
    let arguments = try plan.arguments.map { port in
      try #require(feeds.first { $0.key.name == port.name || $0.value.type == port.type }?.value)
    }
    #expect(found.map { $0.iterations(arguments) } == [counting.count])
    try StubSession.check(graph, loop, feeds: feeds, relative: 0, absolute: 0)
  }

  /// Where numbers leave their type the device decides, and where none grows.
  @Test func numbersThatWrap() {
    func iterations(_ start: Int, _ step: Int, _ limit: Int) -> Int? {
      let counter = LoopCount.Counter(start: Int64(start), step: Int64(step))
      return LoopCount(
        untilZero: [LoopCount.Counter(start: Int64(start - limit), step: Int64(step))],
        bounded: [.init(counter: counter, type: .int32)]
      ).iterations([])
    }
    let last = Int(Int32.max)
    #expect(iterations(last - 5, 4, last - 1) == 1)
    #expect(iterations(last - 5, 6, last - 1) == nil)
    #expect(iterations(0, 0, 5) == nil && iterations(0, -1, 5) == nil && iterations(5, -1, 5) == 0)
    let huge = LoopCount.Counter(start: .min + 1, arguments: [0: -1], step: 1)
    #expect(LoopCount(untilZero: [huge], bounded: []).iterations([Tensor(Int64(7))]) == nil)
  }

  /// Between its first two iterations and its end the host waits for nothing.
  @Test func nobodyWaits() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [8], name: "x")
    let loop = Counting(start: 0, step: 1, limit: 50).loop(graph, x, limit: graph.constant(Int32(50)))
    let stub = try StubSession(seed: 2)
    let session = try stub(graph)
    for _ in 0..<2 { try session.run([loop[1]], feeds: [x: randomTensor([8], seed: 1)]) }
    let (waits, launches) = (stub.machine.stub.count("cuStreamSynchronize"), stub.machine.stub.count("cuGraphLaunch"))
    try session.run([loop[1]], feeds: [x: randomTensor([8], seed: 1)])
    #expect(stub.machine.stub.count("cuStreamSynchronize") - waits == 1)
    #expect(stub.machine.stub.count("cuGraphLaunch") - launches == 52)
  }

  /// Each iteration has numbers of its own, and loops in loops, too.
  @Test func randomNumbersAndNesting() throws {
    let graph = Graph()
    let zero = graph.constant(Int32(0))
    let start = graph.constant(Tensor(zeros: .float32, shape: [9]))
    let loop = whileLoop([zero, start]) { values in
      values[0] .< graph.constant(Int32(3))
    } body: { values in
      let inner = whileLoop([zero, values[1]]) { values in
        values[0] .< graph.constant(Int32(2))
      } body: { values in
        [values[0] + graph.constant(Int32(1)), values[1] + graph.randomUniform([9], seed: 4)]
      }
      return [values[0] + graph.constant(Int32(1)), inner[1] * 2 + graph.randomUniform([9], seed: 5)]
    }
    try StubSession.check(graph, [loop[1]], seeds: [0, 1, 2, 3], relative: 0, absolute: 0)
  }

  /// Two conditions, one of which is not met first; a limit that the loop passes along.
  @Test func severalConditions() throws {
    let graph = Graph()
    let n = graph.placeholder(.int32, shape: [], name: "n")
    let one = graph.constant(Int32(1))
    let loop = whileLoop([graph.constant(Int32(0)), n, graph.constant(Float(1))]) { values in
      (values[0] .< graph.constant(Int32(6))) .& (values[0] + one .<= values[1])
    } body: { values in
      [values[0] + one, values[1], values[2] * 3]
    }
    for limit in [4, 6, 8, -1] as [Int32] {
      try StubSession.check(graph, loop, feeds: [n: Tensor(limit)], seeds: [0, 3], relative: 0, absolute: 0)
    }
  }

  /// What goes wrong within the iterations ends the run, and the next one is well.
  @Test func failures() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [8], name: "x")
    let table = graph.placeholder(.float32, shape: [4], name: "table")
    let loop = whileLoop([graph.constant(Int32(0)), x]) { values in
      values[0] .< graph.constant(Int32(6))
    } body: { values in
      [
        values[0] + graph.constant(Int32(1)),
        values[1] + gather(table, floorModulo(values[0], graph.constant(Int32(4))), axis: 0),
      ]
    }
    let feeds = [x: randomTensor([8], seed: 1), table: randomTensor([4], seed: 2)]
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run([loop[1]], feeds: feeds)[0]
    let stub = try StubSession()
    try { () throws in
      let session = try stub(graph)
      for (call, nth) in [
        ("cuLaunchKernel", 3), ("cuStreamEndCapture", 1), ("cuGraphLaunch", 3), ("cuStreamSynchronize", 3),
      ] {
        stub.machine.stub.fail(call, nth: nth, code: 2)
        let error = #expect(throws: (any Error).self) {
          for _ in 0..<4 { try session.run([loop[1]], feeds: feeds) }
        }
        #expect("\(error.map { "\($0)" } ?? "")".contains(call))
        expectClose(try session.run([loop[1]], feeds: feeds)[0], expected)
      }
    }()
    #expect(stub.machine.stub.report == [])
  }
}
