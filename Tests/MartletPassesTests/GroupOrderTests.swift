import MartletTestSupport
import Testing

@testable import MartletPasses

@Suite struct GroupOrderTests {
  /// Random merges on random graphs: what is merged could be, what is not could not be, and the order stays one.
  @Test(arguments: 0..<60)
  func mergesKeepGraphsAcyclic(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let count = 24
    let predecessors = (0..<count).map { node in
      (0..<node).filter { _ in Int.random(in: 0..<8, using: &random) == 0 }
    }
    var order = GroupOrder(predecessors: predecessors)
    var group = Array(0..<count)
    for _ in 0..<60 {
      let a = Int.random(in: 0..<count, using: &random)
      let b = Int.random(in: 0..<count, using: &random)
      let merged = group.map { $0 == group[b] ? group[a] : $0 }
      let isLegal = topologicalOrder(merged, predecessors) != nil
      let isMerged = order.merge(a, b)
      #expect(isMerged == isLegal, "seed \(seed): \(a) and \(b)")
      if isLegal { group = merged }
      var place = [Int](repeating: 0, count: count)
      for (i, representative) in order.order.enumerated() { place[representative] = i }
      let found = (0..<count).map { order.group(of: $0) }
      for (node, all) in predecessors.enumerated() {
        for predecessor in all where group[node] != group[predecessor] {
          #expect(place[found[predecessor]] < place[found[node]], "seed \(seed)")
        }
        #expect((found[node] == found[a]) == (group[node] == group[a]), "seed \(seed)")
      }
    }
  }

  /// Kahn's algorithm over the groups; nil if there is a cycle.
  private func topologicalOrder(_ group: [Int], _ predecessors: [[Int]]) -> [Int]? {
    var before: [Int: Set<Int>] = [:]
    for (node, all) in predecessors.enumerated() {
      before[group[node], default: []].formUnion(all.map { group[$0] }.filter { $0 != group[node] })
    }
    var order: [Int] = []
    while let next = before.filter({ $0.value.isEmpty }).keys.min() {
      order.append(next)
      before[next] = nil
      for other in before.keys { before[other]?.remove(next) }
    }
    return before.isEmpty ? order : nil
  }

  /// A node with very many edges makes a merge fail rather than take long.
  @Test func searchesAreBounded() {
    var predecessors = [[]] + Array(repeating: [0], count: 1000)
    predecessors.append([5])
    var order = GroupOrder(predecessors: predecessors)
    let (isFound, isNear) = (order.merge(0, 1001), order.merge(5, 1001))
    #expect(!isFound)
    #expect(isNear)
  }
}
