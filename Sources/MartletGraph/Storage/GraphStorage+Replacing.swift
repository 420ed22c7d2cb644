import MartletDiagnostics

extension GraphStorage {
  /// The node that stands in the place of `node` today.
  public func resolve(_ node: NodeID) -> NodeID {
    guard !replacements.isEmpty else { return node }
    var current = node
    while let next = replacements[current] { current = next }
    return current
  }

  /// Appends a node that takes the place of another: its name, site, scope, operands and control edges, its results for all
  /// who use or fetch them, its place among control edges and in the order of effects. The old node is never run again.
  ///
  /// - Parameter results: those of the old node first, of types that fit; there may be more.
  mutating func replace(_ old: NodeID, by operation: OperationID, results: [Inference]) -> NodeID {
    let old = resolve(old)
    let row = rows[Int(old.index)]
    let new = append(
      operation, operands: operands(of: old), controls: controls(of: old), results: results,
      name: names[Int(old.index)],
      site: row.site, scope: row.scope)
    replacements[old] = new
    for (before, after) in zip(self.results(of: old), self.results(of: new)) { forward(before, to: after) }
    return new
  }
}

extension Graph {
  /// Puts a node with another operation in the place of `node`, on the same operands: for all who use or fetch its results,
  /// or name it in a control edge. The old node is not run any more.
  ///
  /// - Parameter operation: its first results are those of the old node; it may have more.
  /// - Returns: all results.
  /// - Throws: a diagnostic if the operation cannot be applied to the operands.
  public func replace(_ node: NodeID, by operation: any Operation) throws(Diagnostic) -> [Output] {
    let library = innermost.library
    let result = write { state in
      Result { () throws(Diagnostic) in
        let facts = state.storage.operands(of: state.storage.resolve(node)).map { state.storage.operand($0) }
        let id = state.storage.intern(operation)
        try operation.schema.check(facts)
        let inferred = try operation.infer(facts, InferenceContext { library[$0]?.signature })
        precondition(
          inferred.count >= state.storage.resultCount(of: node), "a replacement gives the results of what it replaces")
        let new = state.storage.replace(node, by: id, results: inferred)
        return state.storage.results(of: new).map { Output(self, $0) }
      }
    }
    return try result.get()
  }

  /// The sub-graphs without those that only replaced nodes have run: what is written of the library.
  public var liveLibrary: FunctionLibrary {
    let (storage, library) = (storage, library)
    guard !storage.replacements.isEmpty else { return library }
    let live = library.reachable(from: storage.nodes.flatMap { storage.operation(of: $0).functions })
    let old = library.reachable(from: storage.replacements.keys.flatMap { storage.operation(of: $0).functions })
    var result = FunctionLibrary()
    for function in library.functions {
      let name = FunctionName(function.name)
      if live.contains(name) || !old.contains(name) { result.replace(function) }
    }
    return result
  }
}

extension FunctionLibrary {
  /// These functions, those that their nodes run and their custom gradients.
  fileprivate func reachable(from roots: [FunctionName]) -> Set<FunctionName> {
    var found: Set<FunctionName> = []
    var open = roots
    while let name = open.popLast() {
      guard let function = self[name], found.insert(name).inserted else { continue }
      for node in function.body.nodes { open += function.body.operation(of: node).functions }
      if let gradient = function.gradient { open.append(gradient) }
    }
    return found
  }
}
