import MartletGraph
import MartletRewriting
import MartletTensors

/// The two expressions of a rule's firing, cut off at the values that both are computed from.
struct RuleCut {
  /// What tells firings apart: operations, attributes, types and how they hang together, but no names.
  struct Key: Hashable {
    struct Line: Hashable {
      var operation = ""
      var attributes = AttributeList()
      var operands: [Int] = []
      var types: [ValueType] = []
    }
    var rule: String
    var lines: [Line] = []
    var results: [Int] = []
  }

  let storage: GraphStorage
  /// The values that are fed, with what they must be where that is known.
  let leaves: [(value: ValueID, known: Tensor?)]
  /// The nodes behind the leaves, operands before users. The root is not among them.
  let nodes: [NodeID]
  /// Whether the replacement reaches farther back than the pattern does, and too far.
  let isOpen: Bool
  let key: Key

  /// At most so many nodes are taken in where a replacement reaches back.
  private static let reach = 64

  init(_ firing: RuleFiring) {
    let storage = firing.graph.storage
    let operands = firing.operands.map(\.id)
    let replacement = firing.replacement.map { storage.resolve($0.id) }
    var stops = Set(firing.bound.map(\.id).filter { storage.constant($0) == nil })
    let before = Set(Self.nodes(behind: operands, storage) { stops.contains($0) })
    var nodes = Self.nodes(behind: operands + replacement, storage) { stops.contains($0) }
    let strangers = nodes.filter { node in
      node < firing.firstNewNode && !before.contains(node) && !storage.traits(of: node).contains(.constant)
    }
    if !strangers.isEmpty {
      // Both sides begin farther back then: at what is given from outside or drawn at random.
      func isGiven(_ value: ValueID) -> Bool {
        let traits = storage.traits(of: storage.producer(of: value))
        return traits.contains(.argument) || traits.contains(.placeholder) || !traits.contains(.pure)
      }
      nodes = Self.nodes(behind: operands + replacement, storage, isGiven)
      stops = Set((operands + replacement + nodes.flatMap { storage.operands(of: $0) }).filter(isGiven))
    }
    let used = Set(operands + replacement + nodes.flatMap { storage.operands(of: $0) })
    leaves = stops.intersection(used).sorted().map { value in (value, storage.fixedTensor(value)) }
    (self.storage, self.nodes) = (storage, nodes)
    isOpen = !strangers.isEmpty && nodes.count > Self.reach
    key = Self.key(firing, storage, leaves, nodes, operands, replacement)
  }

  /// The nodes that values are computed by, operands before users, as far back as the values that are stops.
  private static func nodes(
    behind values: [ValueID], _ storage: GraphStorage, _ isStop: (ValueID) -> Bool
  ) -> [NodeID] {
    var found: Set<NodeID> = []
    var stack = values
    while let value = stack.popLast() {
      guard !isStop(value) else { continue }
      let node = storage.producer(of: value)
      if found.insert(node).inserted { stack += storage.operands(of: node) }
    }
    return found.sorted()
  }

  private static func key(
    _ firing: RuleFiring, _ storage: GraphStorage, _ leaves: [(value: ValueID, known: Tensor?)], _ nodes: [NodeID],
    _ operands: [ValueID], _ replacement: [ValueID]
  ) -> Key {
    var key = Key(rule: firing.rule.name)
    var numbers: [ValueID: Int] = [:]
    for (value, known) in leaves {
      numbers[value] = numbers.count
      let attributes = known.map { AttributeList([.init("value", .tensor(Constant($0)))]) } ?? AttributeList()
      key.lines.append(.init(attributes: attributes, types: [storage.type(of: value)]))
    }
    for node in nodes {
      key.lines.append(
        .init(
          operation: storage.schema(of: node).name, attributes: storage.attributes(of: node),
          operands: storage.operands(of: node).map { numbers[$0] ?? -1 },
          types: storage.results(of: node).map { storage.type(of: $0) }))
      for result in storage.results(of: node) where numbers[result] == nil { numbers[result] = numbers.count }
    }
    key.lines.append(
      .init(
        operation: firing.root.schema.name, attributes: firing.root.attributes,
        operands: operands.map { numbers[$0] ?? -1 }))
    key.results = replacement.map { numbers[$0] ?? -1 }
    return key
  }
}

extension GraphStorage {
  /// The integers that a value is in every run, if inference knows them.
  fileprivate func fixedTensor(_ value: ValueID) -> Tensor? {
    guard let known = known(value), let integers = known.integers else { return nil }
    return type(of: value).elementType == .int32
      ? Tensor(integers.map { Int32(truncatingIfNeeded: $0) }, shape: known.shape)
      : Tensor(integers.map { Int64($0) }, shape: known.shape)
  }
}
