import MartletGraph
import MartletLoopIR

/// Puts groups of nodes together beyond what `KernelGrouping`'s first walk does, where their kernels then share loops:
/// - a group with one that reads its result, though others do too: the result is one more output;
/// - groups that go through the same array in the same way, so that it is read once;
/// - small groups that follow each other, which saves a call.
///
/// `GroupOrder` sees to it that nothing which needs the one and is needed by the other has to come between.
struct KernelMerging {
  /// The fewest iterations that are worth a loop of their own around what two groups do.
  private static let leastIterations = 16
  /// Groups of no more iterations than this are merged whatever their loops are.
  private static let smallSize = 4096
  /// The most values that a merged kernel may read and write.
  private static let mostValues = 48

  private let grouping: KernelGrouping
  private var body: GraphStorage { grouping.body }
  /// For each node the number of its unit: a group, or a node by itself. Units are numbered in topological order.
  private var unit: [Int]
  /// For each unit its only node, or the root of the group.
  private var nodes: [NodeID] = []
  private var order: GroupOrder
  private var facts: [Facts] = []
  private var walks: [WalkKey: [StageProgram.Walk]] = [:]

  /// The largest domain of a lowering's program, and whether it can fail.
  private var programFacts: [Int: (size: Int, canFail: Bool)] = [:]

  private struct WalkKey: Hashable {
    var lowering: Int
    var operand: Int
  }

  /// What decides about merging a group, for its representative.
  private struct Facts {
    var rows = 0
    var values = 0
    /// The iterations of its largest stage.
    var size = 0
    var canFail = false
    /// Whether it computes a result of the function, such as a variable's new value.
    var hasResult = false
    /// Whether it runs on the processor beside the device.
    var isOnHost = false
    /// The extents of its outputs, as far as they matter for sharing loops.
    var outputs: [[Int]] = []
  }

  /// The roots of the groups and the nodes that are in none, each after what it needs, and for each node of a group its
  /// root.
  static func merged(_ grouping: KernelGrouping) -> (order: [NodeID], root: [NodeID?]) {
    var merging = KernelMerging(grouping)
    merging.mergeWithReaders()
    merging.mergeSiblings()
    return merging.result()
  }

  private init(_ grouping: KernelGrouping) {
    self.grouping = grouping
    let body = grouping.body
    unit = Array(repeating: -1, count: body.nodeCount)
    for node in grouping.order where grouping.root[Int(node.index)] ?? node == node {
      unit[Int(node.index)] = nodes.count
      nodes.append(node)
    }
    for node in grouping.order {
      if let root = grouping.root[Int(node.index)] { unit[Int(node.index)] = unit[Int(root.index)] }
    }
    var predecessors = [[Int]](repeating: [], count: nodes.count)
    var sources = RepeatedSources(grouping)
    for node in grouping.order {
      let own = unit[Int(node.index)]
      for producer in sources.producers(for: node) + body.controls(of: node) {
        let other = unit[Int(producer.index)]
        if other != own, predecessors[own].last != other { predecessors[own].append(other) }
      }
    }
    order = GroupOrder(predecessors: predecessors)
    facts = Array(repeating: Facts(), count: nodes.count)
    for node in grouping.order where grouping.root[Int(node.index)] != nil { addFacts(of: node) }
  }

  private mutating func addFacts(of node: NodeID) {
    guard let program = grouping.program(of: node) else { return }
    let own = unit[Int(node.index)]
    facts[own].rows += program.scalars.count
    let lowering = grouping.lowerings[Int(node.index)]
    let known = programFacts[lowering] ?? (program.largestDomain, program.canFail)
    programFacts[lowering] = known
    facts[own].size = max(facts[own].size, known.size)
    facts[own].canFail = facts[own].canFail || known.canFail
    facts[own].hasResult = facts[own].hasResult || grouping.isResult[Int(node.index)]
    facts[own].isOnHost = grouping.onHost.contains(node)
    facts[own].values += body.operands(of: node).count
    if grouping.isVisible(node) {
      facts[own].outputs += program.outputs.map { program.type(of: $0).extents.filter { $0 != 1 } }
    }
  }

  private mutating func result() -> (order: [NodeID], root: [NodeID?]) {
    // The last of a group's roots gives the kernel its name.
    var last: [Int: NodeID] = [:]
    for number in nodes.indices { last[order.group(of: number)] = nodes[number] }
    var root = grouping.root
    for node in grouping.order where root[Int(node.index)] != nil {
      root[Int(node.index)] = last[order.group(of: unit[Int(node.index)])]
    }
    return (order.order.map { last[$0] ?? nodes[$0] }, root)
  }

  // MARK: Readers

  private mutating func mergeWithReaders() {
    for node in grouping.order where grouping.root[Int(node.index)] != nil {
      for user in grouping.users[Int(node.index)] where grouping.root[Int(user.index)] != nil {
        let pair = (order.group(of: unit[Int(node.index)]), order.group(of: unit[Int(user.index)]))
        if pair.0 != pair.1, fit(pair.0, pair.1), sharesLoop(node, user, pair) { merge(pair.0, pair.1) }
      }
    }
  }

  /// Whether a node and one that reads it would run in one loop, or are so small that it does not matter.
  private mutating func sharesLoop(_ node: NodeID, _ user: NodeID, _ groups: (Int, Int)) -> Bool {
    guard let program = grouping.program(of: node) else { return false }
    let results = body.results(of: node)
    let isSmall = facts[groups.0].size <= Self.smallSize && facts[groups.1].size <= Self.smallSize
    var isConnected = false
    for (position, operand) in body.operands(of: user).enumerated() {
      guard let output = results.firstIndex(of: body.resolve(operand)) else { continue }
      guard program.isComputedInLoops(output: output) else { return false }
      let extents = program.type(of: program.outputs[output]).extents
      let shared = walks(user, position).map(\.sharedIterations).min() ?? 0
      if shared < Self.leastIterations, !isSmall { return false }
      isConnected =
        isConnected || isSmall
        || facts[groups.1].outputs.contains {
          commonIterations($0, extents.filter { $0 != 1 }) >= min(shared, Self.leastIterations)
        }
    }
    return isConnected
  }

  /// The iterations over the leading axes that two arrays have in common.
  private func commonIterations(_ a: [Int], _ b: [Int]) -> Int {
    zip(a, b).prefix { $0 == $1 }.reduce(1) { $0 * $1.0 }
  }

  // MARK: Siblings

  private mutating func mergeSiblings() {
    for node in grouping.order where grouping.users[Int(node.index)].count > 1 {
      // Constants that kernels repeat are not read.
      if grouping.isRepeated(node), body.operands(of: node).isEmpty { continue }
      for value in body.results(of: node) { mergeReaders(of: value, grouping.users[Int(node.index)]) }
    }
  }

  private mutating func mergeReaders(of value: ValueID, _ users: [NodeID]) {
    guard let count = body.type(of: value).tensor?.shape.elementCount?.known, count > 1 else { return }
    var earlier: [StageProgram.Walk: Int] = [:]
    for user in users where grouping.root[Int(user.index)] != nil {
      let own = order.group(of: unit[Int(user.index)])
      for (position, operand) in body.operands(of: user).enumerated() where body.resolve(operand) == value {
        for walk in walks(user, position) where walk.isOnceEach && isLasting(walk, own) {
          if let other = earlier[walk] {
            let pair = (order.group(of: other), order.group(of: own))
            if pair.0 != pair.1, fit(pair.0, pair.1) { merge(pair.0, pair.1) }
          }
          earlier[walk] = own
        }
      }
    }
  }

  /// Whether a walk's loop is still there when its node has become a part of what uses it in the group.
  private func isLasting(_ walk: StageProgram.Walk, _ group: Int) -> Bool {
    let kept = Array(walk.extents.dropLast(walk.reducedCount))
    return walk.reducedCount > 0
      || facts[group].outputs.contains { commonIterations($0, kept) >= min(kept.reduce(1, *), Self.leastIterations) }
  }

  // MARK: Merging

  private mutating func walks(_ node: NodeID, _ operand: Int) -> [StageProgram.Walk] {
    let key = WalkKey(lowering: grouping.lowerings[Int(node.index)], operand: operand)
    if let known = walks[key] { return known }
    let found = grouping.program(of: node)?.walks(ofInput: operand) ?? []
    walks[key] = found
    return found
  }

  /// Whether nothing but their order can keep two groups apart.
  private func fit(_ a: Int, _ b: Int) -> Bool {
    let (a, b) = (facts[a], facts[b])
    // A run that fails must leave variables as they were: what writes them waits for all that may fail.
    if a.canFail != b.canFail, a.hasResult || b.hasResult { return false }
    if a.isOnHost != b.isOnHost { return false }
    return a.rows + b.rows <= KernelGrouping.maximumRows
      && a.values + b.values + a.outputs.count + b.outputs.count <= Self.mostValues
  }

  private mutating func merge(_ a: Int, _ b: Int) {
    guard order.merge(a, b) else { return }
    let merged = order.group(of: a)
    let other = merged == a ? b : a
    facts[merged].rows += facts[other].rows
    facts[merged].values += facts[other].values
    facts[merged].size = max(facts[merged].size, facts[other].size)
    facts[merged].canFail = facts[merged].canFail || facts[other].canFail
    facts[merged].hasResult = facts[merged].hasResult || facts[other].hasResult
    facts[merged].outputs += facts[other].outputs
  }
}

/// What nodes need, with repeated nodes left out: a kernel needs what the nodes that it repeats need.
private struct RepeatedSources {
  private let grouping: KernelGrouping
  private var known: [NodeID: [NodeID]] = [:]

  init(_ grouping: KernelGrouping) { self.grouping = grouping }

  mutating func producers(for node: NodeID) -> [NodeID] {
    let isKernel = grouping.root[Int(node.index)] != nil || grouping.isRepeated(node)
    var found: [NodeID] = []
    for operand in grouping.body.operands(of: node) {
      let producer = grouping.body.producer(of: operand)
      if isKernel, grouping.isRepeated(producer) { found += sources(of: producer) } else { found.append(producer) }
    }
    return found
  }

  /// Operands precede their users in the grouping's order, in which this is asked: so it goes one step only.
  private mutating func sources(of repeated: NodeID) -> [NodeID] {
    if let found = known[repeated] { return found }
    var found: [NodeID] = []
    for producer in producers(for: repeated) where !found.contains(producer) { found.append(producer) }
    known[repeated] = found
    return found
  }
}
