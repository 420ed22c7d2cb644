import Foundation
import Martlet
import Testing

@Suite struct RunTraceTests {
  @Test func theJSONHasOneEventAStep() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [3], name: "x")
    let loop = whileLoop([graph.constant(0 as Int32), x]) {
      $0[0] .< graph.constant(3 as Int32)
    } body: { state in
      [state[0] + graph.constant(1 as Int32), state[1] * 2]
    }
    let session = try Session(graph, options: .cpu)
    let trace = RunTrace()
    let feeds = [x: Tensor([1, 2, 3] as [Float])]
    let result = try session.run(loop[1], feeds: feeds, options: RunOptions(trace: trace))
    #expect(result.scalars() == [8, 16, 24] as [Float])

    let object = try JSONSerialization.jsonObject(with: Data(trace.chromeJSON.utf8)) as? [String: Any]
    let events = try #require(object?["traceEvents"] as? [[String: Any]])
    #expect(events.count == trace.events.count)
    #expect(events.count { $0["cat"] as? String == "loop" } == 1)
    // The condition is tried four times, the body runs three times; an event ends after it begins.
    #expect(events.count { $0["cat"] as? String == "kernel" } >= 7)
    #expect(events.allSatisfy { ($0["dur"] as? Double ?? -1) >= 0 && ($0["ts"] as? Double ?? -1) >= 0 })
  }

  @Test func oneTraceTakesSeveralRuns() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [3], name: "x")
    let y = x + 1
    let session = try Session(graph, options: .cpu)
    let trace = RunTrace()
    for _ in 0..<3 {
      _ = try session.run(y, feeds: [x: Tensor([1, 2, 3] as [Float])], options: RunOptions(trace: trace))
    }
    #expect(trace.events.count == 3)
    #expect(zip(trace.events, trace.events.dropFirst()).allSatisfy { $0.end <= $1.begin })
  }

  /// Steps inside of a loop count once in the total, the loop's own time has them in it.
  @Test func theProfileTakesStepsOfOneOperationTogether() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [3], name: "x")
    let loop = whileLoop([graph.constant(0 as Int32), x]) {
      $0[0] .< graph.constant(3 as Int32)
    } body: { state in
      [state[0] + graph.constant(1 as Int32), state[1] * 2]
    }
    let session = try Session(graph, options: .cpu)
    let trace = RunTrace()
    for _ in 0..<2 {
      try session.run([loop[1]], feeds: [x: Tensor([1, 2, 3] as [Float])], options: RunOptions(trace: trace))
    }
    let (events, profile) = (trace.events, trace.profile)
    #expect(profile.entries.reduce(0) { $0 + $1.count } == events.count)
    #expect(profile.entries.reduce(0) { $0 + $1.time } == events.reduce(0) { $0 + $1.end - $1.begin })
    let loops = try #require(profile.entries.first { $0.category == "loop" })
    #expect(loops.count == 2)
    #expect(profile.totalTime == events.filter { $0.category != "loop" }.reduce(0) { $0 + $1.end - $1.begin })
    #expect(zip(profile.entries, profile.entries.dropFirst()).allSatisfy { $0.time >= $1.time })
    #expect(profile.description.split(separator: "\n").count == profile.entries.count + 1)
  }
}
