import Foundation
import Martlet
import Testing

@testable import MartletVisualization

@Suite struct FoldingTests {
  /// `count` blocks of three operations that follow one upon the other, after one block of another kind.
  static func blocks(_ count: Int) -> Graph {
    let graph = Graph()
    var x = graph.placeholder(.float32, shape: [nil, 8], name: "x")
    x = graph.withNameScope("stem") {
      relu(matMul(x, graph.constant(Tensor(zeros: .float32, shape: [8, 8]), name: "w")))
    }
    for number in 0..<count {
      x = graph.withNameScope("block\(number)") {
        let shortcut = x
        let y = graph.withNameScope("branch") {
          biasAdd(
            matMul(x, graph.constant(Tensor(zeros: .float32, shape: [8, 8]), name: "w")),
            graph.constant(Tensor(zeros: .float32, shape: [8])))
        }
        return relu(y + shortcut)
      }
    }
    return graph
  }

  static func grouping(_ graph: Graph, maximumNodes: Int) -> NodeGrouping {
    let storage = graph.storage
    let whole = GraphFunction(name: "graph", body: storage, arguments: [], results: [])
    return NodeGrouping(
      whole, nodes: Array(storage.nodes), variables: [], variableResultCount: 0, maximumNodes: maximumNodes,
      inlineConstantCount: 4)
  }

  @Test("Without need nothing is folded")
  func everything() {
    let groups = Self.grouping(Self.blocks(2), maximumNodes: 100).groups
    // The input; matrix, product and activation of the stem; matrix, product, bias, sum, sum, activation of each block.
    #expect(groups.count == 1 + 3 + 2 * 6)
    #expect(groups.allSatisfy { $0.kind == .single })
  }

  @Test("Parameters go into labels first, then chains become one node")
  func chains() {
    let groups = Self.grouping(Self.blocks(2), maximumNodes: 8).groups
    // The input, the stem's chain, and in each block the chain of the branch and that of sum and activation.
    #expect(groups.map(\.nodes.count) == [1, 2, 2, 2, 2, 2])
    #expect(groups.map(\.path) == [[], ["stem"], ["block0", "branch"], ["block0"], ["block1", "branch"], ["block1"]])
  }

  @Test("Blocks that are alike are folded alike", arguments: [4, 10, 30])
  func alike(count: Int) {
    // There is room for the folded blocks and for the content of some of them, but not of all.
    let groups = Self.grouping(Self.blocks(count), maximumNodes: count + 4).groups
    let blocks = groups.filter { $0.name.hasPrefix("block") }
    #expect(blocks.count == count)
    #expect(blocks.allSatisfy { $0.kind == .scope && $0.nodes.count == 4 })
    #expect(groups.count == count + 2)
  }

  @Test("The limit holds where scopes allow it", arguments: [1, 2, 5, 20, 60, 200])
  func limit(_ limit: Int) {
    let groups = Self.grouping(Self.blocks(40), maximumNodes: limit).groups
    // The input stands in no scope, and what is in none is not folded: the least is one node for each outermost scope.
    #expect(groups.count <= max(limit, 42))
  }

  @Test("Long chains outside of scopes are cut into nodes of six operations, or into none if that is still too many")
  func longChain() {
    let graph = Graph()
    var x = graph.placeholder(.float32, shape: [2], name: "x")
    for _ in 0..<100 { x = tanh(x) }
    let cut = Self.grouping(graph, maximumNodes: 70).groups
    #expect(cut.count == 1 + (100 + 5) / 6)
    #expect(cut[1].nodes.count == 6)
    #expect(cut.last?.nodes.count == 4)
    let whole = Self.grouping(graph, maximumNodes: 17).groups
    #expect(whole.map(\.nodes.count) == [1, 100])
    #expect(GraphDOT(maximumNodes: 17, showsSites: false).text(graph).contains("<b>100 operations</b>"))
  }

  @Test("Of too many operations outside of scopes neighbours are one node")
  func neighbours() {
    let graph = Graph()
    let first = graph.placeholder(.float32, shape: [2], name: "x")
    var x = first
    for _ in 0..<1000 { x = x + first }
    let groups = Self.grouping(graph, maximumNodes: 10).groups
    // 1,001 nodes, of which none has but one source, in runs of 101.
    #expect(groups.map(\.nodes.count) == Array(repeating: 101, count: 9) + [92])
  }

  @Test("Edges between folded scopes are one, with the number of values")
  func edges() {
    let graph = Graph()
    let (a, b) = graph.withNameScope("producer") {
      let x = graph.placeholder(.float32, shape: [3], name: "x")
      return (tanh(x), exp(x))
    }
    _ = graph.withNameScope("consumer") { sin(a) * cos(b) + a }
    let text = GraphDOT(maximumNodes: 2, showsSites: false).text(graph)
    #expect(text.contains("f0_s0 -> f0_s3 [label=\"3 ×2\"]"))
    #expect(text.components(separatedBy: " -> ").count == 2)
  }
}
