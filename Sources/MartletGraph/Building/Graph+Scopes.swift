import MartletDiagnostics

extension Graph {
  /// Runs `body`; the names of nodes it adds begin with `name/`. A scope entered twice gets a number: `layer_1/`.
  public func withNameScope<R, E: Error>(_ name: String, _ body: () throws(E) -> R) throws(E) -> R {
    let graph = innermost
    graph.write { state in
      let outer = state.scopes[state.scopes.count - 1]
      let wanted = outer.name.isEmpty ? name : "\(outer.name)/\(name)"
      let count = state.scopeNames[wanted, default: 0]
      state.scopeNames[wanted] = count + 1
      state.scopes.append(NodeScope(name: count == 0 ? wanted : "\(wanted)_\(count)", device: outer.device))
    }
    defer { graph.write { $0.scopes.removeLast() } }
    return try body()
  }

  /// Runs `body`; nodes it adds are placed on `device`, such as `/cpu:0` or `/device:CUDA:0`.
  public func withDevice<R, E: Error>(_ device: String, _ body: () throws(E) -> R) throws(E) -> R {
    let graph = innermost
    graph.write { state in
      state.scopes.append(NodeScope(name: state.scopes[state.scopes.count - 1].name, device: device))
    }
    defer { graph.write { $0.scopes.removeLast() } }
    return try body()
  }

  /// Runs `body`; nodes it adds run after `nodes`.
  public func withControlDependencies<R, E: Error>(_ nodes: [NodeID], _ body: () throws(E) -> R) throws(E) -> R {
    let graph = innermost
    graph.write { $0.controls.append(($0.controls.last ?? []) + nodes) }
    defer { graph.write { $0.controls.removeLast() } }
    return try body()
  }

  /// Runs `body`; operations it adds get these attributes where they would have their default.
  public func withDefaultAttributes<R>(
    _ attributes: KeyValuePairs<String, AttributeValue>, _ body: () throws -> R
  ) rethrows -> R {
    let graph = innermost
    graph.write { state in
      let items = attributes.map { AttributeList.Item($0.key, $0.value) }
      let outer = (state.defaults.last ?? []).filter { old in !items.contains { $0.name == old.name } }
      state.defaults.append(outer + items)
    }
    defer { graph.write { $0.defaults.removeLast() } }
    return try body()
  }

  /// Runs `body`; nodes it adds are reported as built at `site`.
  public func withSite<R, E: Error>(_ site: BuildSite, _ body: () throws(E) -> R) throws(E) -> R {
    let graph = innermost
    let outer = graph.write { state in
      defer { state.fixedSite = site }
      return state.fixedSite
    }
    defer { graph.write { $0.fixedSite = outer } }
    return try body()
  }

  /// Runs `body`; the first node it adds is named `name`, others get numbers: what a rewrite puts in a node's place.
  public func withReplacementScope<R, E: Error>(_ name: String, _ body: () throws(E) -> R) throws(E) -> R {
    let graph = innermost
    let outer = graph.write { state in
      defer { state.replacementName = name }
      return state.replacementName
    }
    defer { graph.write { $0.replacementName = outer } }
    return try body()
  }

  /// The name scope in which nodes are added now; empty at the root.
  public var currentScope: String { innermost.read { $0.scopes[$0.scopes.count - 1].name } }
}
