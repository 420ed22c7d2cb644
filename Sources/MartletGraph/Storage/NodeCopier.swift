/// Copies rows from one graph to another without inferring types again, where inference could find nothing new: where all
/// that it looks at is as it was. What both graphs intern is looked up once for each distinct thing, not for each node.
struct NodeCopier {
  private let source: GraphStorage
  /// For each value of the source whether the new graph's has the same type, elements and constant.
  private var isSame: [Bool]
  // Numbers in the new graph by those in the source; -1 where not known yet.
  private var operations: [Int32]
  private var types: [Int32]
  private var sites: [Int32]
  private var scopes: [Int32]

  init(_ source: GraphStorage) {
    self.source = source
    isSame = Array(repeating: false, count: source.valueCount)
    operations = Array(repeating: -1, count: source.entries.count)
    types = Array(repeating: -1, count: source.types.count)
    sites = Array(repeating: -1, count: source.sites.count)
    scopes = Array(repeating: -1, count: source.scopes.count)
  }

  /// Notes whether inference can tell a value of the source from the one in its place.
  mutating func compare(_ old: ValueID, _ new: Output) {
    isSame[Int(old.index)] = new.graph.read {
      $0.storage.type(of: new.id) == source.type(of: old) && $0.storage.known(new.id) == source.known(old)
        && $0.storage.constant(new.id) == source.constant(old)
    }
  }

  /// Whether a node's results are what they were. Of one that calls sub-graphs this is not known: those may be others.
  func canCopy(_ node: NodeID) -> Bool {
    let row = source.rows[Int(node.index)]
    guard source.entries[Int(row.operation.index)].callsNothing else { return false }
    for place in row.operandStart..<row.operandStart + row.operandCount
    where !isSame[Int(source.resolve(source.operandPool[Int(place)]).index)] {
      return false
    }
    for i in 0..<Int(row.resultCount) {
      if case .poison = source.types[Int(source.valueTypes[Int(row.firstResult.index) + i])] { return false }
    }
    return true
  }

  /// Appends a node that `canCopy` allows.
  ///
  /// - Parameters:
  ///   - operands: the new graph's values for the node's operands.
  ///   - controls: the new graph's nodes for its controls.
  mutating func copy(
    _ node: NodeID, _ operands: [ValueID], _ controls: [NodeID], to storage: inout GraphStorage
  ) -> (node: NodeID, firstResult: ValueID) {
    let row = source.rows[Int(node.index)]
    let operation = operation(row.operation, in: &storage)
    let (site, scope) = (site(row.site, in: &storage), scope(row.scope, in: &storage))
    let firstResult = ValueID(storage.valueCount)
    let new = storage.appendRow(
      operation, operands: operands, controls: controls, resultCount: Int(row.resultCount),
      name: storage.uniqueName(source.names[Int(node.index)]), site: site, scope: scope)
    for old in Int(row.firstResult.index)..<Int(row.firstResult.index) + Int(row.resultCount) {
      if !source.knownValues.isEmpty, let known = source.knownValues[ValueID(old)] {
        storage.knownValues[ValueID(storage.valueCount)] = known
      }
      storage.producers.append(new)
      storage.valueTypes.append(type(source.valueTypes[old], in: &storage))
      isSame[old] = true
    }
    return (new, firstResult)
  }

  // MARK: Numbers in the new graph

  private mutating func operation(_ old: OperationID, in storage: inout GraphStorage) -> OperationID {
    let i = Int(old.index)
    if operations[i] < 0 { operations[i] = storage.intern(source.entries[i].operation).index }
    return OperationID(Int(operations[i]))
  }

  private mutating func type(_ old: Int32, in storage: inout GraphStorage) -> Int32 {
    if types[Int(old)] < 0 { types[Int(old)] = storage.intern(source.types[Int(old)]) }
    return types[Int(old)]
  }

  private mutating func site(_ old: Int32, in storage: inout GraphStorage) -> Int32 {
    if sites[Int(old)] < 0 { sites[Int(old)] = storage.intern(source.sites[Int(old)]) }
    return sites[Int(old)]
  }

  /// Names have their scopes in them already.
  private mutating func scope(_ old: Int32, in storage: inout GraphStorage) -> Int32 {
    let i = Int(old)
    if scopes[i] < 0 { scopes[i] = storage.intern(NodeScope(name: "", device: source.scopes[i].device)) }
    return scopes[i]
  }
}
