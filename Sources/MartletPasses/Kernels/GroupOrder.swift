/// Groups of the nodes of an acyclic graph, which can be merged as long as the graph of the groups stays acyclic.
///
/// The groups have an order in which each follows what it needs. A merge looks only at groups that stand between its two in
/// that order, as Pearce and Kelly do when they insert an edge ("A dynamic topological sort algorithm for directed acyclic
/// graphs", 2006), and gives up after so many edges: so the time of a merge does not grow with the graph.
struct GroupOrder {
  /// The edges that one merge may look at.
  private static let mostEdges = 256

  private var parent: [Int]
  private var position: [Int]
  /// The nodes after and before those of a group, for its representative; repetitions are not removed.
  private var successors: [[Int]]
  private var predecessors: [[Int]]

  /// Groups of one node each, of which every node follows its predecessors.
  init(predecessors: [[Int]]) {
    parent = Array(predecessors.indices)
    position = Array(predecessors.indices)
    self.predecessors = predecessors
    successors = Array(repeating: [], count: predecessors.count)
    for (node, all) in predecessors.enumerated() {
      for predecessor in all { successors[predecessor].append(node) }
    }
  }

  /// The node that stands for the group of a node.
  mutating func group(of node: Int) -> Int {
    var root = node
    while parent[root] != root { root = parent[root] }
    var next = node
    while parent[next] != root { (next, parent[next]) = (parent[next], root) }
    return root
  }

  /// The groups' representatives, each after what it needs.
  var order: [Int] {
    parent.indices.filter { parent[$0] == $0 }.sorted { position[$0] < position[$1] }
  }

  /// Puts the groups of two nodes together, unless something has to come between them or that is not found out in time.
  ///
  /// - Returns: whether the nodes are in one group now.
  mutating func merge(_ a: Int, _ b: Int) -> Bool {
    var (first, second) = (group(of: a), group(of: b))
    if first == second { return true }
    if position[first] > position[second] { swap(&first, &second) }
    var budget = Self.mostEdges
    guard let after = reachable(from: first, before: second, &budget),
      let before = reaching(second, after: first, &budget)
    else { return false }
    reorder(before + [second], [first] + after)
    join(first, second)
    return true
  }

  /// What comes after `first` and now stands before `second`, in order; nil if `second` is reached through it.
  private mutating func reachable(from first: Int, before second: Int, _ budget: inout Int) -> [Int]? {
    var found: Set<Int> = []
    var stack = [first]
    while let node = stack.popLast() {
      for next in successors[node] {
        budget -= 1
        if budget < 0 { return nil }
        let next = group(of: next)
        if next == second {
          if node == first { continue }
          return nil
        }
        if next != node, position[next] < position[second], found.insert(next).inserted { stack.append(next) }
      }
    }
    return found.sorted { position[$0] < position[$1] }
  }

  /// What comes before `second` and now stands after `first`, in order.
  private mutating func reaching(_ second: Int, after first: Int, _ budget: inout Int) -> [Int]? {
    var found: Set<Int> = []
    var stack = [second]
    while let node = stack.popLast() {
      for next in predecessors[node] {
        budget -= 1
        if budget < 0 { return nil }
        let next = group(of: next)
        if next != node, position[next] > position[first], found.insert(next).inserted { stack.append(next) }
      }
    }
    return found.sorted { position[$0] < position[$1] }
  }

  /// Gives the groups their own positions again, those of `earlier` first.
  private mutating func reorder(_ earlier: [Int], _ later: [Int]) {
    let all = earlier + later
    for (group, place) in zip(all, all.map { position[$0] }.sorted()) { position[group] = place }
  }

  private mutating func join(_ a: Int, _ b: Int) {
    let isLess = successors[a].count + predecessors[a].count < successors[b].count + predecessors[b].count
    let (from, to) = isLess ? (a, b) : (b, a)
    parent[from] = to
    successors[to] += successors[from]
    predecessors[to] += predecessors[from]
    successors[from] = []
    predecessors[from] = []
  }
}
