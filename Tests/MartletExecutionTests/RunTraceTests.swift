import Foundation
import Martlet
import Testing

@Suite struct RunTraceTests {
  /// One complete event for each instruction, as trace viewers read them.
  @Test(arguments: [SessionOptions.Device.cpu, .interpreter])
  func aTraceHasAnEventForEachInstruction(device: SessionOptions.Device) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4, 4], name: "x")
    let product = matMul(x, x, name: "product")
    let y = tanh(product, name: "y")
    let session = try Session(graph, options: SessionOptions(device: device))
    let trace = RunTrace()
    let input = Tensor([Float](repeating: 0.5, count: 16), shape: [4, 4])
    _ = try session.run([y], feeds: [x: input], options: RunOptions(trace: trace))

    let plan = try session.plan(for: [y], feeds: [x: input.type])
    #expect(trace.events.count == plan.instructionCount)
    #expect(trace.events.allSatisfy { $0.begin <= $0.end })
    #expect(trace.events.map(\.name) == plan.blocks[0].instructions.map { plan.origins[$0.origin].name })

    let parsed = try #require(
      try JSONSerialization.jsonObject(with: Data(trace.chromeJSON.utf8)) as? [String: Any])
    let events = try #require(parsed["traceEvents"] as? [[String: Any]])
    let complete = events.filter { $0["ph"] as? String == "X" }
    #expect(complete.count == trace.events.count)
    #expect(complete.allSatisfy { $0["ts"] is NSNumber && $0["dur"] is NSNumber && $0["name"] is String })
  }

  @Test func withoutATraceNothingIsKept() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2])
    let session = try Session(graph)
    _ = try session.run(-x, feeds: [x: Tensor([1, 2] as [Float])])
    #expect(RunTrace().events.isEmpty)
  }
}
