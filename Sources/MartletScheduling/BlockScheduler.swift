import MartletGraph

/// Decides where a block's results are written and in which order its nodes run.
struct BlockScheduler {
  private(set) var draft: BlockDraft
  let planner: Planner
  /// For each cell the slot outside the block that it lives in; cells without one live in the arena.
  private(set) var destinations: [Int: Int] = [:]
  /// For memory that holds something when the block begins, the value that it holds.
  private let incoming: [Int: Int]

  init(_ draft: BlockDraft, planner: Planner) {
    self.draft = draft
    self.planner = planner
    var incoming: [Int: Int] = [:]
    for (i, value) in draft.values.enumerated() {
      if let slot = value.slot { incoming[planner.slotGroups[slot]] = i }
    }
    self.incoming = incoming
  }

  // MARK: Destinations

  /// Has each value written to its slot: by the node that computes it where that can be done, else by a copy.
  ///
  /// A slot may be the memory of a value that comes from outside: a variable, the state of a loop. Whatever reads that
  /// value then has to come before; where that contradicts the data's own order, the new value is copied at the end. A
  /// copy of a value to where it already is says so in the plan, and costs nothing.
  ///
  /// A variable keeps its value if the run fails: everything that may fail comes before the first write to it.
  mutating func place(_ results: [(value: Int, slot: Int)]) {
    var writers: [(value: Int, slot: Int, writer: Int)] = []
    for (value, slot) in results {
      let cell = draft.values[value].cell
      if let producer = draft.values[cell].producer, destinations[cell] == nil, draft.values[cell].base == nil,
        !(planner.isVariable(slot: slot) && mayLeaveHalfDone(value))
      {
        destinations[cell] = slot
        writers.append((value, slot, producer))
      } else {
        let copy = draft.addCopy(of: value, row: .max)
        destinations[copy] = slot
        writers.append((copy, slot, draft.nodes.count - 1))
      }
    }
    let effects = draft.nodes.indices.filter { draft.nodes[$0].hasEffect }
    for (first, second) in zip(effects, effects.dropFirst()) { draft.addEdge(first, second) }
    let failing = draft.nodes.indices.filter { draft.nodes[$0].canFail }
    for (value, slot, writer) in writers {
      let earlier = planner.isVariable(slot: slot) ? failing.filter { $0 != writer } : []
      let old = old(of: slot)
      let isDirect =
        order(earlier, before: writer)
        && (old.map { orderReaders(of: $0, before: writer, result: draft.values[value].cell) } ?? true)
      if isDirect { continue }
      destinations[draft.values[value].cell] = nil
      let copy = draft.addCopy(of: value, row: .max)
      destinations[copy] = slot
      let last = draft.nodes.count - 1
      for node in earlier + (old.map { draft.values[$0].users } ?? []) { draft.addEdge(node, last) }
    }
  }

  /// Whether what computes a value may fail when it has written a part. A conditional's blocks see to that themselves.
  private func mayLeaveHalfDone(_ value: Int) -> Bool {
    guard let producer = draft.values[value].producer else { return false }
    if case .conditional = draft.nodes[producer].work { return false }
    return draft.nodes[producer].canFail
  }

  /// The value from outside that is in a slot's memory when the block begins.
  private func old(of slot: Int) -> Int? { incoming[planner.slotGroups[slot]] }

  /// Makes the readers of `old` come before the node that overwrites it; false if one of them must come after it.
  private mutating func orderReaders(of old: Int, before writer: Int, result: Int) -> Bool {
    var readers = draft.values[old].users
    if let i = readers.firstIndex(of: writer) {
      guard isInPlace(writer, result: result, over: old) else { return false }
      readers.remove(at: i)
    }
    return order(readers, before: writer)
  }

  /// Makes nodes come before another; false if one of them must come after it.
  private mutating func order(_ nodes: [Int], before last: Int) -> Bool {
    guard !draft.reaches(last, Set(nodes)) else { return false }
    for node in nodes { draft.addEdge(node, last) }
    return true
  }

  /// Whether a node may write a result over the operand `old`, element by element as it goes.
  func isInPlace(_ node: Int, result: Int, over old: Int) -> Bool {
    guard !draft.readsPart(of: old, node) else { return false }
    let node = draft.nodes[node]
    switch node.work {
    case .copy: return true
    // Its blocks see to it themselves.
    case .conditional: return true
    case .kernel(let kernel):
      guard let output = node.results.firstIndex(of: result) else { return false }
      let candidates = planner.plan.kernels[kernel].code.inPlaceCandidates(output: output)
      return node.operands.indices.allSatisfy { node.operands[$0] != old || candidates.contains($0) }
    case .library(let contract):
      let candidate = node.results.first == result ? planner.plan.contracts[contract].inPlaceOperand : nil
      return node.operands.indices.allSatisfy { node.operands[$0] != old || $0 == candidate }
    case .host, .loop, .join: return false
    }
  }

  // MARK: Order

  /// The nodes in an order that keeps the graph's, except that a node which frees more memory than it takes runs as soon
  /// as it can.
  func order() -> [Int] {
    var waiting = [Int](repeating: 0, count: draft.nodes.count)
    for successors in draft.successors { for next in successors { waiting[next] += 1 } }
    var unread = draft.values.map(\.users.count)
    var isDone = [Bool](repeating: false, count: draft.nodes.count)
    var ready = MinimumHeap<Candidate>()
    var freeing = MinimumHeap<Candidate>()
    var order: [Int] = []
    order.reserveCapacity(draft.nodes.count)

    func admit(_ node: Int) {
      let candidate = Candidate(row: draft.nodes[node].row, node: node)
      ready.push(candidate)
      if balance(of: node, unread) < 0 { freeing.push(candidate) }
    }
    for node in draft.nodes.indices where waiting[node] == 0 { admit(node) }
    while let next = freeing.pop() ?? ready.pop() {
      guard !isDone[next.node] else { continue }
      isDone[next.node] = true
      order.append(next.node)
      for successor in draft.successors[next.node] {
        waiting[successor] -= 1
        if waiting[successor] == 0 { admit(successor) }
      }
      for operand in draft.sources(of: next.node) {
        unread[operand] -= 1
        guard unread[operand] == 1 else { continue }
        for user in draft.values[operand].users where !isDone[user] && waiting[user] == 0 {
          if balance(of: user, unread) < 0 { freeing.push(Candidate(row: draft.nodes[user].row, node: user)) }
        }
      }
    }
    precondition(order.count == draft.nodes.count, "the block's nodes depend on each other in a circle")
    return order
  }

  private struct Candidate: Comparable {
    var row: Int
    var node: Int
    static func < (a: Candidate, b: Candidate) -> Bool { (a.row, a.node) < (b.row, b.node) }
  }

  /// The bytes of arena that a node takes, less those that nobody needs after it.
  private func balance(of node: Int, _ unread: [Int]) -> Int {
    var bytes = 0
    for result in draft.nodes[node].results where destinations[draft.values[result].cell] == nil {
      bytes += draft.values[result].byteCount
    }
    for operand in draft.sources(of: node) where unread[operand] == 1 {
      let value = draft.values[operand]
      if value.slot == nil, destinations[value.cell] == nil { bytes -= value.byteCount }
    }
    return bytes
  }
}
