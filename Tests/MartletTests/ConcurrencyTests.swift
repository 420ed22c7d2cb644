import Dispatch
import Martlet
import Synchronization
import Testing

/// Runs of one session from many threads.
@Suite struct ConcurrencyTests {
  @Test func noUpdateIsLost() throws {
    let graph = Graph()
    let counter = graph.variableHandle(.int64, shape: [1000], name: "counter")
    let increment = assignAdd(counter, graph.constant(Tensor(repeating: 1 as Int64, shape: [1000])))
    let session = try Session(graph)
    try session.assign(counter, Tensor(repeating: 0 as Int64, shape: [1000]))
    DispatchQueue.concurrentPerform(iterations: 8) { _ in
      for _ in 0..<50 { #expect(throws: Never.self) { try session.run(increment) } }
    }
    #expect(try session.value(of: counter).scalars() == [Int64](repeating: 400, count: 1000))
    #expect(session.statistics.compilations.count == 1)
  }

  /// Every run sees two variables that are always assigned together as equal.
  @Test func runsAreAtomic() throws {
    let graph = Graph()
    let a = graph.variableHandle(.float32, shape: [500], name: "a")
    let b = graph.variableHandle(.float32, shape: [500], name: "b")
    let x = graph.placeholder(.float32, shape: [500], name: "x")
    let write = [assign(a, x), assign(b, x)]
    // The reading nodes stand in a graph of their own order: no control edges join them.
    let difference = sum(abs(readVariable(a) - readVariable(b)))
    let session = try Session(graph)
    try session.run([], feeds: [x: Tensor(repeating: 0 as Float, shape: [500])], targets: write)
    let largest = Mutex<Float>(0)
    DispatchQueue.concurrentPerform(iterations: 4) { thread in
      for i in 0..<100 {
        #expect(throws: Never.self) {
          if thread < 2 {
            let value = Tensor(repeating: Float(thread * 1000 + i), shape: [500])
            try session.run([], feeds: [x: value], targets: write)
          } else {
            let seen: Float = try session.run(difference).item()
            largest.withLock { $0 = max($0, seen) }
          }
        }
      }
    }
    #expect(largest.withLock { $0 } == 0)
  }

  /// Large steps go to the team, small ones run where they are called; results do not depend on it.
  @Test func callablesRunSideBySide() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, nil], name: "x")
    let y = sum(matMul(x, x, transposeB: true) * 2)
    let session = try Session(graph)
    let callable = try session.makeCallable(fetches: [y], feeds: [x])
    DispatchQueue.concurrentPerform(iterations: 4) { thread in
      for size in [3, 128, 17] {
        for _ in 0..<10 {
          #expect(throws: Never.self) {
            let value = Tensor(repeating: Float(thread), shape: [size, size])
            let result: Float = try callable(value)[0].item()
            #expect(result == 2 * Float(thread * thread * size * size * size))
          }
        }
      }
    }
    #expect(session.statistics.compilations.count == 3)
  }
}
