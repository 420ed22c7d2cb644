import MartletGraph
import MartletTensors

/// Which nodes of a function are drawn together as one.
///
/// Always: a variable with its reading and its first value; small constants in the labels of their users. Where that
/// leaves more nodes than wanted, in this order, until they are few enough: variables and constants move into the labels
/// of their users; operations that follow one upon the other become one, six at most; scopes become one, the outermost
/// last, and scopes that are alike in the same way; chains become one however long they are; neighbours become one.
struct NodeGrouping {
  struct Group {
    enum Kind { case single, chain, scope }
    var kind: Kind
    /// In the order of their rows.
    var nodes: [NodeID]
    /// The scopes in which it is drawn; for a folded scope those around it.
    var path: [String]
    /// The name of a folded scope.
    var name = ""

    /// The outermost scope in which it stands, or which it is.
    var part: String { path.first ?? name }
  }

  /// What becomes of a node.
  private enum Fate {
    case absent, drawn
    /// Written into the labels of its users.
    case label
    /// Part of the node of this row; with -1 not drawn at all.
    case within(Int)
  }

  private(set) var groups: [Group] = []
  /// For each row the number of its group; -1 for what is not drawn.
  private var groupOfRow: [Int]
  private var fates: [Fate]
  /// For each row how many operands of drawn nodes are its results.
  private var useCounts: [Int]
  private let body: GraphStorage
  private let nodes: [NodeID]
  private let results: Set<NodeID>
  /// The arguments that stand for variables.
  private let variables: Set<NodeID>
  private let variableResultCount: Int
  /// Whether variables and constants are named in labels instead of being drawn.
  private(set) var hasParametersInLabels = false

  /// - Parameters:
  ///   - variables: the arguments that stand for variables.
  ///   - variableResultCount: how many results are new values of variables.
  init(
    _ function: GraphFunction, nodes: [NodeID], variables: Set<NodeID>, variableResultCount: Int, maximumNodes: Int,
    inlineConstantCount: Int
  ) {
    let body = function.body
    self.body = body
    self.nodes = nodes
    self.variables = variables
    self.variableResultCount = variableResultCount
    results = Set(function.results.map { body.producer(of: body.resolve($0)) })
    fates = Array(repeating: .absent, count: body.nodeCount)
    groupOfRow = Array(repeating: -1, count: body.nodeCount)
    useCounts = Array(repeating: 0, count: body.nodeCount)
    for node in nodes {
      fates[Int(node.index)] = .drawn
      for operand in body.operands(of: node) { useCounts[Int(body.producer(of: operand).index)] += 1 }
    }
    hideSmallConstants(inlineConstantCount)
    joinVariables()
    hideUnconnected()
    if drawnCount + variableResultCount > maximumNodes { moveParametersToLabels() }
    let isLarge = drawnCount > maximumNodes
    formGroups(joining: isLarge)
    fold(to: maximumNodes)
    if isLarge, groups.count > maximumNodes {
      formGroups(joining: true, cutting: false)
      fold(to: maximumNodes)
      if groups.count > maximumNodes * Self.mostTimesTooMany { joinNeighbours(to: maximumNodes) }
    }
    number()
  }

  /// The group in which a node is drawn; nil if it is not.
  func group(of node: NodeID) -> Int? {
    let number = groupOfRow[Int(node.index)]
    return number < 0 ? nil : number
  }

  /// The node that stands in the labels of the users of `node` instead of being drawn; nil if there is none.
  func parameter(_ node: NodeID) -> NodeID? {
    let shown = owner(of: node)
    if case .label = fates[Int(shown.index)] { return shown }
    return nil
  }

  /// The variable of which a node is a part; the node itself if it is no such part.
  private func owner(of node: NodeID) -> NodeID {
    if case .within(let owner) = fates[Int(node.index)], owner >= 0 { NodeID(owner) } else { node }
  }

  private var drawnCount: Int { nodes.count { isDrawn($0) } }

  private func isDrawn(_ node: NodeID) -> Bool {
    if case .drawn = fates[Int(node.index)] { true } else { false }
  }

  private mutating func fold(to limit: Int) {
    guard groups.count > limit else { return }
    var folding = ScopeFolding(groups, body)
    groups = folding.folded(to: limit)
  }

  /// Beyond this many times the wanted number of nodes no picture can be made.
  private static let mostTimesTooMany = 20

  /// Makes one of groups that stand one behind the other in the graph and in the same scope.
  private mutating func joinNeighbours(to limit: Int) {
    let size = (groups.count + limit - 1) / max(limit, 1)
    var joined: [Group] = []
    var count = 0
    for group in groups {
      if let last = joined.last, last.path == group.path, last.kind != .scope, group.kind != .scope, count < size {
        joined[joined.count - 1].nodes += group.nodes
        joined[joined.count - 1].kind = .chain
        count += 1
      } else {
        joined.append(group)
        count = 1
      }
    }
    groups = joined
  }

  private mutating func number() {
    for (number, group) in groups.enumerated() {
      for node in group.nodes { groupOfRow[Int(node.index)] = number }
    }
    for node in nodes {
      let owner = owner(of: node)
      if owner != node { groupOfRow[Int(node.index)] = groupOfRow[Int(owner.index)] }
    }
  }

  // MARK: Variables and constants

  private mutating func hideSmallConstants(_ count: Int) {
    for node in nodes where useCounts[Int(node.index)] > 0 && !results.contains(node) {
      guard let value = body.results(of: node).first, let constant = body.constant(value) else { continue }
      if constant.tensor.elementCount <= count { fates[Int(node.index)] = .label }
    }
  }

  /// Constants that nothing uses, such as shapes that have become part of what was made with them, and nodes that had
  /// nothing but control edges before these were resolved.
  private mutating func hideUnconnected() {
    guard nodes.count > 1 else { return }
    for node in nodes where useCounts[Int(node.index)] == 0 && !results.contains(node) {
      let isLone =
        body.operandCount(of: node) == 0 && body.resultCount(of: node) == 0 && body.controls(of: node).isEmpty
      if isLone || body.traits(of: node).contains(.constant) { fates[Int(node.index)] = .within(-1) }
    }
  }

  private mutating func joinVariables() {
    for node in nodes {
      if case .variable = body.stateRole(of: node) { joinFirstValue(of: node) }
    }
    for node in nodes where body.stateRole(of: node) == .read && body.controls(of: node).isEmpty {
      let handle = body.producer(of: body.operands(of: node)[0])
      if case .variable = body.stateRole(of: handle), !results.contains(node) {
        fates[Int(node.index)] = .within(Int(handle.index))
      }
    }
    for node in nodes where body.resultCount(of: node) == 0 && body.operandCount(of: node) == 0 {
      // What only waits for the assignments of first values.
      let controls = body.controls(of: node)
      if !controls.isEmpty, controls.allSatisfy({ owner(of: $0) != $0 }) { fates[Int(node.index)] = .within(-1) }
    }
  }

  /// The assignment of a variable's first value and what computes that value become part of the variable.
  private mutating func joinFirstValue(of handle: NodeID) {
    let name = body.name(of: handle)
    guard let assignment = body.node(named: "\(name)/Assign"), body.stateRole(of: assignment) == .assign,
      isDrawn(assignment)
    else { return }
    fates[Int(assignment.index)] = .within(Int(handle.index))
    let initializer = "\(name)/Initializer/"
    var stack = body.operands(of: assignment).map { body.producer(of: $0) }
    while let node = stack.popLast() {
      guard isDrawn(node), body.name(of: node).hasPrefix(initializer), !results.contains(node) else { continue }
      fates[Int(node.index)] = .within(Int(handle.index))
      stack += body.operands(of: node).map { body.producer(of: $0) }
    }
  }

  private mutating func moveParametersToLabels() {
    hasParametersInLabels = true
    for node in nodes where isDrawn(node) && useCounts[Int(node.index)] > 0 {
      if case .variable = body.stateRole(of: node) {
        fates[Int(node.index)] = .label
      } else if variables.contains(node) || body.traits(of: node).contains(.constant) && !results.contains(node) {
        fates[Int(node.index)] = .label
      }
    }
  }

  // MARK: Chains

  /// - Parameters:
  ///   - joining: whether operations that follow one upon the other become one group.
  ///   - cutting: whether groups are kept so short that a label has room for all.
  private mutating func formGroups(joining: Bool, cutting: Bool = true) {
    groups = []
    let next = joining ? links() : [:]
    let followers = Set(next.values)
    for node in nodes where isDrawn(node) && !followers.contains(node) {
      var chain = [node]
      while let follower = next[chain[chain.count - 1]] { chain.append(follower) }
      let length = cutting ? Self.longestChain : chain.count
      for start in stride(from: 0, to: chain.count, by: length) {
        let part = Array(chain[start..<min(start + length, chain.count)])
        groups.append(Group(kind: part.count == 1 ? .single : .chain, nodes: part, path: path(part[0])))
      }
    }
    groups.sort { $0.nodes[0] < $1.nodes[0] }
  }

  /// Of how many operations a label has room for all.
  static let longestChain = 6

  /// The only user of a node of which that node is the only source, both in one scope.
  private func links() -> [NodeID: NodeID] {
    var users = [Int](repeating: Self.none, count: body.nodeCount)
    var sources = users
    func note(_ table: inout [Int], _ node: NodeID, _ other: NodeID) {
      let i = Int(node.index)
      table[i] = table[i] == Self.none || table[i] == Int(other.index) ? Int(other.index) : Self.several
    }
    for node in nodes where owner(of: node) == node && !isHidden(node) {
      for operand in body.operands(of: node) where parameter(body.producer(of: operand)) == nil {
        let source = owner(of: body.producer(of: operand))
        note(&users, source, node)
        note(&sources, node, source)
      }
      for control in body.controls(of: node) where !isHidden(control) {
        users[Int(owner(of: control).index)] = Self.several
        sources[Int(node.index)] = Self.several
      }
    }
    var next: [NodeID: NodeID] = [:]
    for node in nodes where isDrawn(node) && canJoin(node) && !results.contains(node) {
      let user = users[Int(node.index)]
      guard user >= 0, sources[user] == Int(node.index), isDrawn(NodeID(user)), canJoin(NodeID(user)),
        path(node) == path(NodeID(user))
      else { continue }
      next[node] = NodeID(user)
    }
    return next
  }

  private static let none = -1
  private static let several = -2

  private func isHidden(_ node: NodeID) -> Bool { !isDrawn(node) && owner(of: node) == node }

  private func canJoin(_ node: NodeID) -> Bool {
    let traits = body.traits(of: node)
    if !traits.isDisjoint(with: [.placeholder, .argument, .constant]) { return false }
    return body.stateRole(of: node) == .none && body.operation(of: node).functions.isEmpty && !body.hasEffect(node)
  }

  private func path(_ node: NodeID) -> [String] {
    Array(body.name(of: node).split(separator: "/").map(String.init).dropLast())
  }
}
