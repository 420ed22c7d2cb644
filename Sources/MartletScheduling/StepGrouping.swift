/// Finds stretches of a block's order whose instructions can be dealt to the workers: kernels and library calls that are too
/// small for the whole team, in parts that do not depend on each other.
///
/// A stretch ends with a value that many nodes read, and where a node would join parts so that the workers' shares become
/// unequal: what comes after begins the next one, and finds everything before it done.
struct StepGrouping {
  /// The nanoseconds that a group must save: a parallel region costs up to 1,000, more where a worker has to be woken.
  private static let leastGain = 3_000
  /// A value with so many readers among the small kernels ends a stretch.
  private static let manyReaders = 4

  private let draft: BlockDraft
  private let order: [Int]
  private let workerCount: Int
  /// For each node an estimate of its nanoseconds; negative for one that runs by itself.
  private let costs: [Int]
  private var predecessors: [[Int]]
  /// For each node its step.
  private var steps: [Int]

  /// The part of the present stretch that a node is in, by representatives, and what each part costs.
  private var parent: [Int]
  private var partCosts: [Int]
  private var groups: [PlanGroup] = []
  /// The nanoseconds that the groups save.
  private var saved = 0
  private var start = 0
  /// What the stretch so far costs, and its largest part.
  private var total = 0
  private var largest = 0

  /// - Parameter costs: for each node its time in nanoseconds on one worker; nil for a node that runs by itself.
  /// - Returns: the groups, and the nanoseconds that they save.
  static func groups(
    _ draft: BlockDraft, order: [Int], costs: [Int?], workers: Int
  ) -> (groups: [PlanGroup], saved: Int) {
    guard workers > 1, costs.count(where: { $0 != nil }) > 1 else { return ([], 0) }
    var grouping = StepGrouping(draft, order, costs.map { $0 ?? -1 }, workers)
    grouping.run()
    return (grouping.groups, grouping.saved)
  }

  private init(_ draft: BlockDraft, _ order: [Int], _ costs: [Int], _ workers: Int) {
    self.draft = draft
    self.order = order
    self.costs = costs
    workerCount = workers
    predecessors = Array(repeating: [], count: draft.nodes.count)
    for (node, all) in draft.successors.enumerated() { for next in all { predecessors[next].append(node) } }
    steps = Array(repeating: 0, count: draft.nodes.count)
    for (step, node) in order.enumerated() { steps[node] = step }
    parent = Array(draft.nodes.indices)
    partCosts = costs
  }

  private mutating func run() {
    for (step, node) in order.enumerated() {
      guard costs[node] >= 0 else {
        close(at: step)
        start = step + 1
        continue
      }
      let joined = Set(predecessors[node].filter { steps[$0] >= start }.map { part(of: $0) })
      let cost = joined.reduce(costs[node]) { $0 + partCosts[$1] }
      if joined.count > 1, cost * workerCount > total + costs[node], mayGain(to: step) {
        close(at: step)
        begin(step, node)
      } else {
        for other in joined { parent[other] = node }
        partCosts[node] = cost
        total += costs[node]
        largest = max(largest, cost)
      }
      if readers(of: node) >= Self.manyReaders {
        close(at: step + 1)
        start = step + 1
      }
    }
    close(at: order.count)
  }

  private mutating func begin(_ step: Int, _ node: Int) {
    start = step
    parent[node] = node
    partCosts[node] = costs[node]
    total = costs[node]
    largest = total
  }

  private func readers(of node: Int) -> Int {
    draft.successors[node].count { costs[$0] >= 0 }
  }

  private mutating func part(of node: Int) -> Int {
    var root = node
    while parent[root] != root { root = parent[root] }
    var next = node
    while parent[next] != root { (next, parent[next]) = (parent[next], root) }
    return root
  }

  // MARK: Dealing

  /// The steps of the stretch as a group, if that gains anything.
  private mutating func close(at end: Int) {
    defer { (start, total, largest) = (end, 0, 0) }
    guard end - start > 1 else { return }
    let workers = deal(from: start, to: end)
    let gain = gain(of: workers, from: start)
    guard gain >= Self.leastGain else { return }
    saved += gain
    groups.append(PlanGroup(instructions: start..<end, workers: workers))
  }

  /// Whether the stretch up to a step is a group; the exact answer only where a bound on it allows one.
  private mutating func mayGain(to end: Int) -> Bool {
    total - max(largest, total / workerCount) >= Self.leastGain
      && gain(of: deal(from: start, to: end), from: start) >= Self.leastGain
  }

  /// The time of all steps less that of the busiest worker.
  private func gain(of workers: [Int], from start: Int) -> Int {
    var loads = [Int](repeating: 0, count: workerCount)
    for (i, worker) in workers.enumerated() { loads[worker] += costs[order[start + i]] }
    return loads.reduce(0, +) - (loads.max() ?? 0)
  }

  /// A worker for each step: the parts, the most costly first, each to the worker with the least so far.
  private mutating func deal(from start: Int, to end: Int) -> [Int] {
    var parts: [Int] = []
    var seen: Set<Int> = []
    for step in start..<end {
      let part = part(of: order[step])
      if seen.insert(part).inserted { parts.append(part) }
    }
    parts.sort { (partCosts[$1], steps[$0]) < (partCosts[$0], steps[$1]) }
    var loads = [Int](repeating: 0, count: workerCount)
    var workerOf: [Int: Int] = [:]
    for part in parts {
      let worker = loads.indices.min { (loads[$0], $0) < (loads[$1], $1) } ?? 0
      workerOf[part] = worker
      loads[worker] += partCosts[part]
    }
    return (start..<end).map { workerOf[part(of: order[$0])] ?? 0 }
  }
}
