import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Decides which nodes of a function become one kernel.
///
/// A walk from users to operands puts a node into the group of its users if all of them are in one group, so that no cycle
/// can come about; values that are also results of the function become further outputs of the kernel. Then:
/// - a reshape at a group's edge leaves it: outside it is an alias and costs nothing;
/// - a node of almost no cost that reads at most scalars is repeated in every group that uses it, and so is a cheap map of
///   one array that only kernels use: reading its operand again costs no more than reading its result;
/// - groups that would share loops are merged: see `KernelMerging`.
struct KernelGrouping {
  /// What a node is to the grouping.
  enum Role {
    /// Can be part of a kernel.
    case stages(StageProgram)
    /// Is an alias when it stands alone, index arithmetic inside a kernel.
    case reshape(StageProgram)
    /// Joins its first `count` operands: their memory side by side, or by a kernel if they are not too many for one.
    case join(StageProgram?, count: Int)
    /// Is repeated in each kernel that uses it; outside, it is what it was.
    case repeated(StageProgram)
    /// Library calls, host code, control flow, arguments, large constants.
    case barrier
  }

  /// The bound on the scalars of one kernel.
  static let maximumRows = 2000

  /// The most that a map may cost an element, in floating-point additions, to be computed again in every group.
  private static let repeatedCost = 6
  private static let mostRepetitions = 4

  let body: GraphStorage
  let order: [NodeID]
  /// The roots of the groups and the nodes that are in none, each after what it needs.
  private(set) var emission: [NodeID]
  private(set) var roles: [Role]
  /// For each node a number that two nodes share only if they lower to the same.
  let lowerings: [Int]
  /// For each node the root of its group; nil for a barrier or an alias.
  private(set) var root: [NodeID?]
  private(set) var users: [[NodeID]]
  private(set) var isResult: [Bool]
  /// Where each node stands in the order.
  private var positions: [Int]
  private let resultValues: Set<ValueID>
  private var rowCounts: [Int]

  private let isFusing: Bool
  /// The nodes that run on the processor beside the device; they are not put together with others.
  let onHost: Set<NodeID>

  init(_ function: GraphFunction, roles: [Role], lowerings: [Int], isFusing: Bool = true, onHost: Set<NodeID> = []) {
    (self.lowerings, self.isFusing, self.onHost) = (lowerings, isFusing, onHost)
    body = function.body
    order = function.body.topologicalOrder(results: function.results, targets: function.targets)
    self.roles = roles
    emission = order
    let count = function.body.nodeCount
    root = Array(repeating: nil, count: count)
    users = Array(repeating: [], count: count)
    isResult = Array(repeating: false, count: count)
    rowCounts = Array(repeating: 0, count: count)
    positions = Array(repeating: 0, count: count)
    for (i, node) in order.enumerated() { positions[Int(node.index)] = i }
    resultValues = Set(function.results.map { function.body.resolve($0) })
    for result in function.results { isResult[Int(body.producer(of: body.resolve(result)).index)] = true }
    for node in order {
      for operand in body.operands(of: node) {
        let producer = Int(body.producer(of: operand).index)
        if users[producer].last != node { users[producer].append(node) }
      }
    }
    assign()
    peelReshapes()
    if isFusing { (emission, root) = KernelMerging.merged(self) }
  }

  /// The stages of a node that can be part of a kernel.
  func program(of node: NodeID) -> StageProgram? {
    switch roles[Int(node.index)] {
    case .stages(let program), .reshape(let program), .repeated(let program): program
    case .join(let program, _): program
    case .barrier: nil
    }
  }

  /// The nodes of each group, members in topological order, by root.
  func members() -> [NodeID: [NodeID]] {
    var result: [NodeID: [NodeID]] = [:]
    for node in order {
      if let root = root[Int(node.index)] { result[root, default: []].append(node) }
    }
    return result
  }

  /// Whether a value of the node must be visible outside its group.
  func isVisible(_ node: NodeID) -> Bool {
    let own = root[Int(node.index)]
    return isResult[Int(node.index)] || users[Int(node.index)].contains { root[Int($0.index)] != own }
  }

  /// Whether a value is a result of the function, or used by a node that is not in the group of `root`.
  func isValueUsed(_ value: ValueID, outside root: NodeID) -> Bool {
    if resultValues.contains(value) { return true }
    return users[Int(body.producer(of: value).index)].contains {
      self.root[Int($0.index)] != root && body.operands(of: $0).contains(value)
    }
  }

  /// Whether a repeated node must exist by itself, too.
  func isUsedOutsideKernels(_ node: NodeID) -> Bool {
    isResult[Int(node.index)]
      || users[Int(node.index)].contains { root[Int($0.index)] == nil && !isRepeated($0) }
  }

  /// The given nodes in topological order.
  func inOrder(_ nodes: Set<NodeID>) -> [NodeID] {
    nodes.sorted { positions[Int($0.index)] < positions[Int($1.index)] }
  }

  private mutating func assign() {
    for node in order.reversed() {
      let i = Int(node.index)
      let program: StageProgram
      let isAlias: Bool
      switch roles[i] {
      case .barrier, .repeated: continue
      case .stages(let stages): (program, isAlias) = (stages, false)
      case .join(let stages, let count):
        guard let stages, !isPlaced(node, count: count) else { continue }
        (program, isAlias) = (stages, false)
      case .reshape(let stages): (program, isAlias) = (stages, true)
      }
      let rows = program.scalars.count
      if !isAlias, isRepeatable(node, program) {
        roles[i] = .repeated(program)
        continue
      }
      if let group = commonGroup(of: node), rowCounts[Int(group.index)] + rows <= Self.maximumRows,
        !(isAlias && isResult[i])
      {
        root[i] = group
        rowCounts[Int(group.index)] += rows
      } else if !isAlias {
        root[i] = node
        rowCounts[i] = rows
      }
    }
  }

  /// Whether more than half of what a node joins can be computed in its place and would be in memory anyway, so that a
  /// kernel would only move it.
  private func isPlaced(_ node: NodeID, count: Int) -> Bool {
    let isInKernel = commonGroup(of: node) != nil
    var (placed, all) = (0, 0)
    for operand in body.operands(of: node).prefix(count) {
      let bytes = body.type(of: operand).tensor.flatMap { $0.shape.known?.reduce($0.elementType.byteWidth, *) } ?? 0
      all += bytes
      var producer = body.producer(of: operand)
      // A reshape is an alias; a part, whose operand is larger, is none that could be computed elsewhere.
      while case .reshape(let program) = roles[Int(producer.index)], program.inputs[0].byteCount == bytes {
        producer = body.producer(of: body.operands(of: producer)[0])
      }
      let i = Int(producer.index)
      switch roles[i] {
      case .barrier:
        let isComputed = !body.operands(of: producer).isEmpty && body.operation(of: producer).functions.isEmpty
        if isComputed { placed += bytes }
      case .stages, .join:
        if !isInKernel || isResult[i] || users[i].count > 1 { placed += bytes }
      case .repeated:
        if !isInKernel { placed += bytes }
      case .reshape: break
      }
    }
    return 2 * placed > all
  }

  /// Whether a node is a cheap map of one array, over the same elements, for a few kernels.
  private func isRepeatable(_ node: NodeID, _ program: StageProgram) -> Bool {
    let users = users[Int(node.index)]
    guard isFusing, !isResult[Int(node.index)], users.count > 1, commonGroup(of: node) == nil,
      users.allSatisfy({ root[Int($0.index)] != nil }),
      Set(users.map { root[Int($0.index)] }).count <= Self.mostRepetitions,
      let cost = program.elementCost, cost <= Self.repeatedCost
    else { return false }
    let count = program.stages[0].result.elementCount
    let large = program.inputs.indices.filter { program.inputs[$0].elementCount * 8 > count }
    return large.count == 1 && program.inputs[large[0]].byteCount <= program.stages[0].result.byteCount
      && program.walks(ofInput: large[0]).allSatisfy { $0.sharedIterations == count }
  }

  /// The one group that all users of a node are in.
  private func commonGroup(of node: NodeID) -> NodeID? {
    guard isFusing else { return nil }
    var group: NodeID?
    for user in users[Int(node.index)] {
      guard let next = root[Int(user.index)], group == nil || group == next else { return nil }
      group = next
    }
    if let found = group, !areTogether(found, node) { return nil }
    return group
  }

  /// Whether two nodes run on one device.
  private func areTogether(_ a: NodeID, _ b: NodeID) -> Bool {
    onHost.isEmpty || onHost.contains(a) == onHost.contains(b)
  }

  /// Takes reshapes out of groups where what they reshape comes from outside.
  private mutating func peelReshapes() {
    for node in order {
      let i = Int(node.index)
      guard case .reshape = roles[i], let own = root[i] else { continue }
      let producer = body.producer(of: body.operands(of: node)[0])
      if root[Int(producer.index)] != own, !isRepeated(producer) { root[i] = nil }
    }
  }

  func isRepeated(_ node: NodeID) -> Bool {
    if case .repeated = roles[Int(node.index)] { true } else { false }
  }
}
