import MartletDiagnostics
import MartletTensors

/// A graph as flat rows addressed by typed numbers. Rows are appended and never edited; a forwarding table lets gradients
/// and rewrites put a new value in an old one's place.
public struct GraphStorage: Sendable {
  /// One operation applied to values.
  struct Row: Sendable {
    var operation: OperationID
    var site: Int32
    var scope: Int32
    var operandStart: UInt32
    var operandCount: UInt32
    var controlStart: UInt32
    var controlCount: UInt16
    var resultCount: UInt16
    var firstResult: ValueID
  }

  /// What is cached for each distinct operation, so that nothing asks the existential again.
  final class Entry: Sendable {
    let operation: any Operation
    let schema: Schema
    let attributes: AttributeList
    let stateRole: StateRole
    /// Whether it has no sub-graphs.
    let callsNothing: Bool
    init(_ operation: any Operation, _ attributes: AttributeList) {
      self.operation = operation
      self.schema = operation.schema
      self.attributes = attributes
      self.stateRole = operation.stateRole
      callsNothing = operation.functions.isEmpty
    }
  }

  struct EntryKey: Hashable, Sendable {
    var name: String
    var attributes: AttributeList
    /// Of an operation that is known by name alone, also what it takes and gives.
    var foreign: ForeignOperation.Signature?
  }

  var rows: [Row] = []
  var names: [String] = []
  var operandPool: [ValueID] = []
  var controlPool: [NodeID] = []
  /// For each value its node and its interned type.
  var producers: [NodeID] = []
  var valueTypes: [Int32] = []

  var entries: [Entry] = []
  var entryIndex: [EntryKey: OperationID] = [:]
  /// Operations that have no attributes at all, by their type: a short cut past the attributes' hash.
  var plainEntries: [ObjectIdentifier: OperationID] = [:]
  var types: [ValueType] = []
  var typeIndex: [ValueType: Int32] = [:]
  var knownValues: [ValueID: KnownValue] = [:]
  var forwards: [ValueID: ValueID] = [:]
  /// The nodes that others have taken the place of.
  var replacements: [NodeID: NodeID] = [:]

  var nodeIndex: [String: NodeID] = [:]
  /// The next number to try for a name that is taken.
  var nameCounters: [String: Int] = [:]

  var sites: [BuildSite] = [.unknown]
  var siteIndex: [BuildSite: Int32] = [.unknown: 0]
  /// Scope 0 is the root without a device.
  var scopes: [NodeScope] = [NodeScope(name: "", device: "")]
  var scopeIndex: [NodeScope: Int32] = [NodeScope(name: "", device: ""): 0]

  /// Lists that users attach to the graph by name: variables, losses, whatever they like.
  public var collections: [String: [ValueID]] = [:]

  public init() {}
}

/// Where a node was created: its name scope and its device.
public struct NodeScope: Hashable, Sendable {
  public var name: String
  public var device: String
  public init(name: String, device: String) { (self.name, self.device) = (name, device) }
}

extension GraphStorage {
  public var nodeCount: Int { rows.count }
  public var valueCount: Int { producers.count }
  /// The nodes in the order of their rows, without those that others have taken the place of.
  public var nodes: some Collection<NodeID> {
    (0..<rows.count).lazy.map { NodeID($0) }.filter { replacements[$0] == nil }
  }

  // MARK: Nodes

  public func operation(of node: NodeID) -> any Operation { entry(of: node).operation }
  public func operationID(of node: NodeID) -> OperationID { rows[Int(node.index)].operation }
  public func schema(of node: NodeID) -> Schema { entry(of: node).schema }
  public func attributes(of node: NodeID) -> AttributeList { entry(of: node).attributes }
  public func stateRole(of node: NodeID) -> StateRole { entry(of: node).stateRole }
  public func traits(of node: NodeID) -> Schema.Traits { entry(of: node).schema.traits }
  public func name(of node: NodeID) -> String { names[Int(node.index)] }
  public func site(of node: NodeID) -> BuildSite { sites[Int(rows[Int(node.index)].site)] }
  public func scope(of node: NodeID) -> NodeScope { scopes[Int(rows[Int(node.index)].scope)] }
  public func node(named name: String) -> NodeID? { nodeIndex[name] }

  /// The operands as they stand today, forwarding resolved.
  public func operands(of node: NodeID) -> [ValueID] {
    let row = rows[Int(node.index)]
    let slice = operandPool[Int(row.operandStart)..<Int(row.operandStart + row.operandCount)]
    return forwards.isEmpty ? Array(slice) : slice.map { resolve($0) }
  }
  public func operandCount(of node: NodeID) -> Int { Int(rows[Int(node.index)].operandCount) }
  /// The nodes that must run before, as they stand today.
  public func controls(of node: NodeID) -> [NodeID] {
    let row = rows[Int(node.index)]
    let slice = controlPool[Int(row.controlStart)..<Int(row.controlStart) + Int(row.controlCount)]
    return replacements.isEmpty ? Array(slice) : slice.map { resolve($0) }
  }
  public func resultCount(of node: NodeID) -> Int { Int(rows[Int(node.index)].resultCount) }
  public func results(of node: NodeID) -> [ValueID] {
    let row = rows[Int(node.index)]
    return (0..<Int(row.resultCount)).map { ValueID(Int(row.firstResult.index) + $0) }
  }

  // MARK: Values

  public func producer(of value: ValueID) -> NodeID { producers[Int(value.index)] }
  /// Which of its node's results a value is.
  public func resultNumber(of value: ValueID) -> Int {
    Int(value.index - rows[Int(producer(of: value).index)].firstResult.index)
  }
  public func type(of value: ValueID) -> ValueType { types[Int(valueTypes[Int(value.index)])] }
  public func known(_ value: ValueID) -> KnownValue? { knownValues[value] }
  /// The array behind a value whose node is a constant.
  public func constant(_ value: ValueID) -> Constant? {
    let entry = entry(of: producer(of: value))
    guard entry.schema.traits.contains(.constant), case .tensor(let constant) = entry.attributes["value"] else {
      return nil
    }
    return constant
  }
  public func operand(_ value: ValueID) -> Operand {
    Operand(type(of: value), known: known(value), constant: constant(value))
  }
  /// The value as TensorFlow names it: the node's name, with `:k` behind it for results after the first.
  public func name(of value: ValueID) -> String {
    let number = resultNumber(of: value)
    let node = name(of: producer(of: value))
    return number == 0 ? node : "\(node):\(number)"
  }

  /// The value that stands in the place of `value` today.
  public func resolve(_ value: ValueID) -> ValueID {
    guard !forwards.isEmpty else { return value }
    var current = value
    while let next = forwards[current] { current = next }
    return current
  }

  /// Puts `new` in the place of `old` for all who use or fetch it, now and later.
  public mutating func forward(_ old: ValueID, to new: ValueID) {
    let target = resolve(new)
    let source = resolve(old)
    guard source != target else { return }
    forwards[source] = target
  }

  /// What stands behind a node: the operation, interned with its attributes.
  func entry(of node: NodeID) -> Entry { entries[Int(rows[Int(node.index)].operation.index)] }
}

extension GraphStorage {
  // MARK: Appending

  mutating func intern(_ operation: any Operation) -> OperationID {
    let plain = ObjectIdentifier(Swift.type(of: operation))
    if let id = plainEntries[plain] { return id }
    let attributes = operation.attributes
    let key = EntryKey(
      name: operation.schema.name, attributes: attributes, foreign: (operation as? ForeignOperation)?.signature)
    if let id = entryIndex[key] { return id }
    let id = OperationID(entries.count)
    entries.append(Entry(operation, attributes))
    entryIndex[key] = id
    if operation.hasNoAttributes { plainEntries[plain] = id }
    return id
  }

  mutating func intern(_ type: ValueType) -> Int32 {
    if let id = typeIndex[type] { return id }
    let id = Int32(types.count)
    types.append(type)
    typeIndex[type] = id
    return id
  }

  mutating func intern(_ site: BuildSite) -> Int32 {
    if let id = siteIndex[site] { return id }
    let id = Int32(sites.count)
    sites.append(site)
    siteIndex[site] = id
    return id
  }

  mutating func intern(_ scope: NodeScope) -> Int32 {
    if let id = scopeIndex[scope] { return id }
    let id = Int32(scopes.count)
    scopes.append(scope)
    scopeIndex[scope] = id
    return id
  }

  /// `wanted` if no node has it, else with the first free number behind it: `name_1`.
  mutating func uniqueName(_ wanted: String) -> String {
    guard nodeIndex[wanted] != nil else { return wanted }
    var number = nameCounters[wanted, default: 0]
    var candidate: String
    repeat {
      number += 1
      candidate = "\(wanted)_\(number)"
    } while nodeIndex[candidate] != nil
    nameCounters[wanted] = number
    return candidate
  }

  /// Appends a node whose operands and result types are known to be right.
  mutating func append(
    _ operation: OperationID, operands: some Collection<ValueID>, controls: [NodeID], results: [Inference],
    name: String,
    site: Int32, scope: Int32
  ) -> NodeID {
    let node = appendRow(
      operation, operands: operands, controls: controls, resultCount: results.count, name: name, site: site,
      scope: scope)
    for result in results {
      if let known = result.known { knownValues[ValueID(producers.count)] = known }
      producers.append(node)
      valueTypes.append(intern(result.type))
    }
    return node
  }

  /// Appends a node, whose results are still to be appended.
  mutating func appendRow(
    _ operation: OperationID, operands: some Collection<ValueID>, controls: [NodeID], resultCount: Int, name: String,
    site: Int32, scope: Int32
  ) -> NodeID {
    let node = NodeID(rows.count)
    rows.append(
      Row(
        operation: operation, site: site, scope: scope, operandStart: UInt32(operandPool.count),
        operandCount: UInt32(operands.count), controlStart: UInt32(controlPool.count),
        controlCount: UInt16(controls.count), resultCount: UInt16(resultCount), firstResult: ValueID(producers.count)))
    operandPool.append(contentsOf: operands)
    controlPool.append(contentsOf: controls)
    names.append(name)
    nodeIndex[name] = node
    return node
  }

  /// Makes room for as many nodes and values more.
  mutating func reserve(nodes: Int, values: Int) {
    rows.reserveCapacity(rows.count + nodes)
    names.reserveCapacity(names.count + nodes)
    nodeIndex.reserveCapacity(nodeIndex.count + nodes)
    producers.reserveCapacity(producers.count + values)
    valueTypes.reserveCapacity(valueTypes.count + values)
  }

  /// Learns a more exact type of a value.
  mutating func refine(_ value: ValueID, to type: ValueType) { valueTypes[Int(value.index)] = intern(type) }
}
