import MartletDiagnostics
import MartletTensors

extension Graph.State {
  /// Checks the operands against the schema, infers the results' types and appends the node.
  mutating func add(
    _ operation: any Operation, _ operands: [Output], graph: Graph, name: String?, controls: [NodeID], site: BuildSite
  ) -> [Output] {
    let scope = scopes[scopes.count - 1]
    let id = storage.intern(withDefaults(operation))
    let entry = storage.entries[Int(id.index)]
    let wanted = replacementName ?? name ?? entry.schema.name
    let fullName = storage.uniqueName(scope.name.isEmpty ? wanted : "\(scope.name)/\(wanted)")
    let siteID = storage.intern(fixedSite ?? site)

    var ids: [ValueID] = []
    ids.reserveCapacity(operands.count)
    var facts: [Operand] = []
    facts.reserveCapacity(operands.count)
    var isPoisoned = false
    var failure: Diagnostic?
    for operand in operands {
      guard operand.graph === graph else {
        failure = failure ?? Diagnostic("operand '\(operand.name)' belongs to another graph")
        continue
      }
      let value = storage.resolve(operand.id)
      ids.append(operand.id)
      let fact = storage.operand(value)
      if case .poison = fact.type { isPoisoned = true }
      facts.append(fact)
    }

    var results: [Inference] = []
    if failure == nil, !isPoisoned {
      do throws(Diagnostic) {
        try entry.schema.check(facts)
        let library = library
        results = try entry.operation.infer(facts, InferenceContext { library[$0]?.signature })
        for result in results { try result.type.checkSize() }
      } catch {
        failure = error
      }
    }
    if failure != nil || isPoisoned {
      results = Array(repeating: Inference(.poison), count: entry.schema.poisonCount(for: facts.count))
    }
    if var failure {
      failure.operation = "\(entry.schema.name) '\(fullName)'"
      failure.site = fixedSite ?? site
      diagnostics.append(failure)
    }
    let node = storage.append(
      id, operands: ids, controls: unique((self.controls.last ?? []) + controls), results: results, name: fullName,
      site: siteID, scope: storage.intern(scope))
    return storage.results(of: node).map { Output(graph, $0) }
  }

  private func unique(_ nodes: [NodeID]) -> [NodeID] {
    guard nodes.count > 1 else { return nodes }
    var seen: Set<NodeID> = []
    return nodes.filter { seen.insert($0).inserted }
  }

  /// The operation with the default attributes of the scopes it is added in.
  private func withDefaults(_ operation: any Operation) -> any Operation {
    guard let items = defaults.last, !items.isEmpty else { return operation }
    func apply<O: Operation>(_ operation: O) -> any Operation {
      let fresh = O().attributes
      var list = operation.attributes
      var isChanged = false
      for item in items {
        guard let i = list.items.firstIndex(where: { $0.name == item.name }),
          list.items[i].value == fresh[item.name]
        else { continue }
        list.items[i].value = item.value
        isChanged = true
      }
      guard isChanged, let changed = try? O(list) else { return operation }
      return changed
    }
    return apply(operation)
  }
}

extension Schema {
  /// Checks the number and the element types of operands.
  ///
  /// - Throws: a diagnostic that names the first operand that does not fit.
  public func check(_ operands: [Operand]) throws(Diagnostic) {
    guard let ranges = ranges(of: inputs, count: operands.count) else {
      throw Diagnostic(
        "\(name) was given a wrong number of operands",
        required: inputs.map(\.name).joined(separator: ", "), found: "\(operands.count) operands")
    }
    var bound: [String: (ElementType, String)] = [:]
    for (input, range) in zip(inputs, ranges) {
      for i in range {
        try check(operands[i], as: input, operandName: inputName(i, of: operands.count), &bound)
      }
    }
  }

  private func check(
    _ operand: Operand, as input: Argument, operandName: String, _ bound: inout [String: (ElementType, String)]
  ) throws(Diagnostic) {
    if case .typeList = input.kind { return }
    switch (operand.type, input.type) {
    case (_, "foreign"), (.foreign, _), (.poison, _), (.resource, "resource"): return
    case (.resource, _):
      throw Diagnostic(
        "a variable stands where its value is needed", operand: operandName, required: input.type,
        found: "\(operand.type)", hint: "read the variable")
    case (_, "resource"):
      throw Diagnostic(
        "a variable is needed", operand: operandName, required: "a variable", found: "\(operand.type)")
    default: break
    }
    guard let type = operand.elementType else { return }
    if let types = types(of: input.type) {
      if let (other, otherName) = bound[input.type] {
        guard other == type else {
          throw Diagnostic(
            "the operands' element types differ", operand: operandName,
            required: "\(other), the type of '\(otherName)'", found: "\(operand.type)",
            hint: "convert one with cast(_:to:)")
        }
        return
      }
      guard types.types.contains(type) else {
        throw Diagnostic(
          "\(name) is not defined for \(type)", operand: operandName,
          required: "one of \(types.types.map(\.name).joined(separator: ", "))", found: "\(operand.type)",
          hint: "convert it with cast(_:to:)")
      }
      bound[input.type] = (type, operandName)
    } else if type.name != input.type {
      throw Diagnostic(
        "the operand has a wrong element type", operand: operandName, required: input.type, found: "\(operand.type)",
        hint: "convert it with cast(_:to:)")
    }
  }

  /// The number of results of a node that could not be typed.
  func poisonCount(for operandCount: Int) -> Int {
    outputs.contains { $0.kind != .one } ? max(outputs.count, 8) : outputs.count
  }
}

extension ValueType {
  /// The most dimensions that an array may have which Martlet computes.
  public static let maximumRank = 8

  /// Throws if this is an array that cannot exist in memory, or has more dimensions than can be computed with.
  func checkSize() throws(Diagnostic) {
    guard case .tensor(let type) = self, type.elementType.isComputable, let rank = type.shape.rank else { return }
    guard rank <= Self.maximumRank else {
      throw Diagnostic(
        "the result has too many dimensions", found: "\(type)", hint: "at most \(Self.maximumRank) can be used")
    }
    guard let extents = type.shape.known else { return }
    if Tensor.checkedByteCount(elementType: type.elementType, shape: extents) == nil {
      throw Diagnostic("the result is too large", found: "\(type)")
    }
  }
}
