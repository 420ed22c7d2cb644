import Martlet
import Testing

/// Nothing calls itself for each node: not building, writing, reading, nor freeing. `Scripts/million-nodes` does the same with
/// a million.
@Suite struct LongChainTests {
  @Test func chainsOfAdditions() throws {
    let count = 100_000
    try Fixture.withTemporaryFolder { folder in
      var graph: Graph? = Graph()
      var x = try #require(graph).placeholder(.float32, shape: [2], name: "x")
      for _ in 0..<count { x = x + x }
      try graph?.save(folder + "/chain.pb", outputs: [x])
      x = try #require(graph?.output(named: "x"))
      graph = nil
      let loaded = try Graph(loading: folder + "/chain.pb")
      #expect(loaded.nodeCount == count + 1)
      #expect(loaded.output(named: "AddV2_\(count - 1)")?.shape == [2])
    }
  }
}
