import Martlet
import MartletTestSupport
import Synchronization
import Testing

@testable import MartletCUDA

/// What the processor does in a GPU's plan.
@Suite struct PlacementTests {
  @Test func partsOnTheProcessor() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4, 6], name: "x")
    let a = exp(x)
    let b = graph.withDevice("/cpu:0") { tanh(a) * x + 1 }
    let c = graph.withDevice("/device:GPU:0") { sum(b * a, axes: [1]) }
    let d = graph.withDevice("cpu") { matMul(b, transpose(a)) }
    try StubSession.check(graph, [b, c, d, c + sum(d, axes: [0])], feeds: [x: randomTensor([4, 6], seed: 1)])
  }

  @Test func theLogSaysWhatIsOnTheProcessor() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4], name: "x")
    let y = graph.withDevice("cpu") { exp(x, name: "there") } + 1
    let lines = Mutex<[String]>([])
    let stub = try StubSession(options: SessionOptions(log: { line in lines.withLock { $0.append(line) } }))
    let found = try stub(graph).run([y], feeds: [x: Tensor([0, 1, 2, 3] as [Float])])[0]
    #expect(found.doubles()[0] == 2)
    #expect(lines.withLock { $0 }.contains { $0.hasPrefix("on the processor: Exp 'there'") })
  }

  @Test func devicesThatAreNotThere() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4], name: "x")
    let y = graph.withDevice("/tpu:0") { exp(x, name: "far") }
    let feeds = [x: Tensor([0, 1, 2, 3] as [Float])]
    let error = #expect(throws: Diagnostic.self) { try Session(graph).run([y], feeds: feeds) }
    #expect(error?.operation == "Exp 'far'" && error?.found == "/tpu:0")
    let lines = Mutex<[String]>([])
    let soft = SessionOptions(isPlacementSoft: true, log: { line in lines.withLock { $0.append(line) } })
    #expect(try Session(graph, options: soft).run([y], feeds: feeds)[0].doubles()[0] == 1)
    #expect(lines.withLock { $0 }.contains { $0.contains("/tpu:0") })
  }

  /// A session has one GPU: what wants another is told so, with its line, and not moved in silence.
  @Test func anotherGPU() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4], name: "x")
    let (y, line) = (graph.withDevice("/device:GPU:1") { exp(x, name: "far") }, #line)
    let z = graph.withDevice("cuda:0") { exp(x) }
    let feeds = [x: Tensor([0, 1, 2, 3] as [Float])]
    let stub = try StubSession()
    let error = #expect(throws: Diagnostic.self) { try stub(graph).run([y], feeds: feeds) }
    #expect(error?.operation == "Exp 'far'" && error?.found == "/device:GPU:1" && error?.required == "cuda:0 or cpu")
    #expect(error?.site.resolved?.line == line)
    #expect(try stub(graph).run([z], feeds: feeds)[0].doubles()[0] == 1)
    let soft = try StubSession(options: SessionOptions(isPlacementSoft: true))
    #expect(try soft(graph).run([y], feeds: feeds)[0].doubles()[0] == 1)
  }

  @Test func hostCodeBetweenKernels() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4], name: "x")
    let y = exp(x)
    let check = assertTrue(all(y .> graph.constant(Float(0))), [y], name: "positive")
    let z = graph.withControlDependencies([check.id]) { y * 2 }
    try StubSession.check(graph, [z], feeds: [x: Tensor([0, 1, 2, 3] as [Float])])
    let stub = try StubSession()
    let session = try stub(graph)
    let error = #expect(throws: (any Error).self) {
      try session.run([z], feeds: [x: Tensor([0, 1, -200, 3] as [Float])])
    }
    #expect("\(error.map { "\($0)" } ?? "")".contains("positive"))
    #expect(try session.run([z], feeds: [x: Tensor([0, 0, 0, 0] as [Float])])[0].doubles() == [2, 2, 2, 2])
  }
}
