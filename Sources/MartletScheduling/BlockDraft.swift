import MartletGraph
import MartletTensors

/// A block before its order and its memory are decided: nodes over values.
struct BlockDraft {
  /// An array in memory. A reshaped array is the same value.
  struct Value {
    var type: TensorType
    var byteCount: Int
    var name: String
    /// The node that writes it first; nil for what comes from outside.
    var producer: Int?
    /// The slot of what comes from outside.
    var slot: Int?
    /// The nodes that read it, each once, in order.
    var users: [Int] = []
    /// The value that this one is a part of, which is no part itself, and the bytes before it.
    var base: (value: Int, offset: Int)?
    /// The value whose memory this one is: itself, except for what a loop leaves in its state.
    var cell: Int
  }

  struct Node {
    var work: Work
    var operands: [Int]
    var results: [Int]
    var origin: Int
    /// The place in the graph's order, which ties keep.
    var row: Int
    /// Whether it does more than compute its results. Such nodes keep their order.
    var hasEffect = false
    /// Whether it may end the run.
    var canFail = false
    var isWide = false
    /// Whether the processor carries it out, beside another device.
    var isOnHost = false
  }

  enum Work {
    case kernel(Int)
    case library(Int)
    case host(Int)
    case copy
    /// The operands' bytes, one behind the other.
    case join
    /// Argument i of both functions is operand i + 1.
    case conditional(then: GraphFunction, else: GraphFunction)
    /// Argument i of both functions is operand i; the results are those of arguments that change.
    case loop(condition: GraphFunction, body: GraphFunction, changing: [Int])
  }

  var name: String
  var values: [Value] = []
  var nodes: [Node] = []
  /// For each node, those that must come after it.
  var successors: [[Int]] = []

  mutating func add(incoming slot: Int, type: TensorType, byteCount: Int, name: String) -> Int {
    values.append(
      Value(type: type, byteCount: byteCount, name: name, producer: nil, slot: slot, cell: values.count))
    return values.count - 1
  }

  /// Appends a node with new values as its results.
  mutating func add(
    _ work: Work, operands: [Int], results: [(type: TensorType, byteCount: Int, name: String)], origin: Int, row: Int,
    hasEffect: Bool = false, canFail: Bool = false, isWide: Bool = false,
    isOnHost: Bool = false
  ) -> [Int] {
    let node = nodes.count
    let numbers = results.map { result in
      values.append(
        Value(
          type: result.type, byteCount: result.byteCount, name: result.name, producer: node, slot: nil,
          cell: values.count))
      return values.count - 1
    }
    nodes.append(
      Node(
        work: work, operands: operands, results: numbers, origin: origin, row: row, hasEffect: hasEffect,
        canFail: canFail, isWide: isWide, isOnHost: isOnHost))
    successors.append([])
    for operand in operands {
      // What reads a part reads what it is a part of.
      for value in [operand, values[operand].base?.value ?? operand] where values[value].users.last != node {
        values[value].users.append(node)
        if let producer = values[value].producer { addEdge(producer, node) }
      }
    }
    return numbers
  }

  /// The stretch of a value that begins `offset` bytes behind its start; the value itself if that is all of it.
  mutating func addPart(of value: Int, offset: Int, type: TensorType, byteCount: Int, name: String) -> Int {
    if offset == 0, byteCount == values[value].byteCount { return value }
    let outer = values[value].base ?? (value, 0)
    values.append(
      Value(
        type: type, byteCount: byteCount, name: name, producer: values[value].producer, slot: nil,
        base: (outer.value, outer.offset + offset), cell: values.count))
    return values.count - 1
  }

  /// The values that a node reads, parts as what they are parts of, each once.
  func sources(of node: Int) -> [Int] {
    var seen: Set<Int> = []
    let all = nodes[node].operands.map { values[$0].base?.value ?? $0 }
    return all.count < 2 ? all : all.filter { seen.insert($0).inserted }
  }

  /// Whether an operand of the node is a part of `value`.
  func readsPart(of value: Int, _ node: Int) -> Bool {
    nodes[node].operands.contains { values[$0].base?.value == value }
  }

  /// Copies a value into memory of its own.
  mutating func addCopy(of value: Int, row: Int) -> Int {
    let source = values[value]
    let origin = source.producer.map { nodes[$0].origin } ?? 0
    return add(
      .copy, operands: [value], results: [(source.type, source.byteCount, source.name)], origin: origin, row: row)[0]
  }

  mutating func addEdge(_ first: Int, _ second: Int) {
    if first != second { successors[first].append(second) }
  }

  /// Whether one of `targets` comes after `node` in every order, or is it.
  func reaches(_ node: Int, _ targets: Set<Int>) -> Bool {
    guard !targets.isEmpty else { return false }
    var seen: Set<Int> = [node]
    var stack = [node]
    while let next = stack.popLast() {
      if targets.contains(next) { return true }
      for successor in successors[next] where seen.insert(successor).inserted { stack.append(successor) }
    }
    return false
  }
}
