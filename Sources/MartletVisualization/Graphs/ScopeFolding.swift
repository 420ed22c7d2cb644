import MartletGraph

/// Draws as many name scopes as one node each as it takes to get down to a number of nodes.
///
/// Scopes are opened from the outermost on, the smallest first. Scopes that have the same operations in them, such as
/// the blocks of a residual network, are opened all or none.
struct ScopeFolding {
  private struct Scope {
    var name: String
    var path: [String]
    var depth: Int
    var parent: Int
    var children: [Int] = []
    /// The groups directly in it.
    var groups: [Int] = []
    var isOpen = false
    /// Equal for scopes that have equal content.
    var kind = 0

    /// How many nodes more are drawn if it is open.
    var growth: Int { children.count + groups.count - 1 }
  }

  private let groups: [NodeGrouping.Group]
  /// The root first, and each scope behind the one around it.
  private var scopes = [Scope(name: "", path: [], depth: 0, parent: 0, isOpen: true)]

  init(_ groups: [NodeGrouping.Group], _ body: GraphStorage) {
    self.groups = groups
    var index: [[String]: Int] = [[]: 0]
    for (number, group) in groups.enumerated() {
      var scope = 0
      for depth in group.path.indices {
        let path = Array(group.path[...depth])
        if let known = index[path] {
          scope = known
        } else {
          scopes[scope].children.append(scopes.count)
          scopes.append(
            Scope(name: path[depth], path: Array(path.dropLast()), depth: depth + 1, parent: scope))
          scope = scopes.count - 1
          index[path] = scope
        }
      }
      scopes[scope].groups.append(number)
    }
    findKinds(body)
  }

  private mutating func findKinds(_ body: GraphStorage) {
    struct Content: Hashable {
      var operations: [String]
      var children: [Int]
    }
    var kinds: [Content: Int] = [:]
    for i in scopes.indices.reversed() {
      let operations = scopes[i].groups.flatMap { number in groups[number].nodes.map { body.schema(of: $0).name } }
      let content = Content(
        operations: operations.sorted(), children: scopes[i].children.map { scopes[$0].kind }.sorted())
      let next = kinds.count
      scopes[i].kind = kinds[content, default: next]
      kinds[content] = scopes[i].kind
    }
  }

  /// The groups with scopes folded; more than `limit` if there are more outside all scopes.
  mutating func folded(to limit: Int) -> [NodeGrouping.Group] {
    var count = scopes[0].growth + 1
    for depth in 1...max(scopes.map(\.depth).max() ?? 1, 1) {
      var classes: [(kind: Int, members: [Int], growth: Int)] = []
      var index: [Int: Int] = [:]
      for (i, scope) in scopes.enumerated() where scope.depth == depth && scopes[scope.parent].isOpen {
        if index[scope.kind] == nil {
          index[scope.kind] = classes.count
          classes.append((scope.kind, [], 0))
        }
        guard let k = index[scope.kind] else { continue }
        classes[k].members.append(i)
        classes[k].growth += scope.growth
      }
      for item in classes.enumerated().sorted(by: { ($0.element.growth, $0.offset) < ($1.element.growth, $1.offset) }) {
        guard count + item.element.growth <= limit else { break }
        count += item.element.growth
        for member in item.element.members { scopes[member].isOpen = true }
      }
    }
    return result()
  }

  private func result() -> [NodeGrouping.Group] {
    var result: [NodeGrouping.Group] = []
    /// For each scope the folded one that it is or lies in.
    var folded = [Int](repeating: 0, count: scopes.count)
    var content: [Int: [NodeID]] = [:]
    for (i, scope) in scopes.enumerated() {
      folded[i] = folded[scope.parent] != 0 ? folded[scope.parent] : scope.isOpen ? 0 : i
      for number in scope.groups {
        if folded[i] == 0 {
          result.append(groups[number])
        } else {
          content[folded[i], default: []] += groups[number].nodes
        }
      }
    }
    for (i, scope) in scopes.enumerated() where folded[i] == i && i != 0 {
      let nodes = (content[i] ?? []).sorted()
      result.append(NodeGrouping.Group(kind: .scope, nodes: nodes, path: scope.path, name: scope.name))
    }
    return result.sorted { $0.nodes[0] < $1.nodes[0] }
  }
}
