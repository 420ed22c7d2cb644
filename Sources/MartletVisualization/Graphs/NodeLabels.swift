import MartletDiagnostics
import MartletGraph
import MartletTensors

/// What is written in and behind the drawn nodes of a function.
struct NodeLabels {
  private let body: GraphStorage
  private let grouping: NodeGrouping
  private let variables: [NodeID: String]
  private let assigned: [NodeID: [String]]
  private let showsSites: Bool

  /// - Parameters:
  ///   - variables: the arguments that stand for variables, with the variables' names.
  ///   - assigned: the variables whose new values are results of a node, where its label says so.
  init(
    _ body: GraphStorage, _ grouping: NodeGrouping, variables: [NodeID: String], assigned: [NodeID: [String]],
    showsSites: Bool
  ) {
    self.body = body
    self.grouping = grouping
    self.variables = variables
    self.assigned = assigned
    self.showsSites = showsSites
  }

  func label(_ group: NodeGrouping.Group) -> DOTLabel {
    let count = group.nodes.count
    let isShort = count <= NodeGrouping.longestChain
    switch group.kind {
    case .scope: return DOTLabel(group.name, ["\(count) operation\(count == 1 ? "" : "s")"] + mostFrequent(group.nodes))
    case .chain where !isShort: return DOTLabel("\(count) operations", mostFrequent(group.nodes))
    case .chain, .single: return DOTLabel(parts: group.nodes.map { part($0, isAlone: group.kind == .single) })
    }
  }

  func tooltip(_ group: NodeGrouping.Group) -> String {
    switch group.kind {
    case .scope: return (group.path + [group.name]).joined(separator: "/")
    case .chain:
      let names = group.nodes.prefix(NodeGrouping.longestChain).map { body.name(of: $0) }
      return (names + (group.nodes.count > names.count ? ["…"] : [])).joined(separator: "\n")
    case .single: return tooltip(group.nodes[0])
    }
  }

  func style(_ group: NodeGrouping.Group) -> DOTStyle {
    if group.kind == .scope || group.nodes.count > NodeGrouping.longestChain { return .scope }
    let styles = group.nodes.map(style)
    return styles.contains(.library) ? .library : styles.contains(.kernel) ? .kernel : styles[0]
  }

  // MARK: One operation

  private func part(_ node: NodeID, isAlone: Bool) -> (title: String, details: [String]) {
    let own = ownName(node)
    if let name = variables[node] { return (name, [resultText(node)]) }
    let traits = body.traits(of: node)
    if traits.contains(.placeholder) || traits.contains(.argument) { return (own, [resultText(node)]) }
    if case .variable = body.stateRole(of: node) { return (own, [resultText(node)]) }
    if traits.contains(.constant) {
      return (own, [AttributeText.short(body.results(of: node).first.flatMap { body.constant($0) })])
    }
    let schema = body.schema(of: node)
    guard !(body.operation(of: node) is FusedKernel) else {
      return (kernelTitle(node), [own] + parameters(node, isAlone: true) + targets(node))
    }
    let isNamed = isAlone && !own.hasPrefix(schema.name)
    let details = parameters(node, isAlone: isAlone) + settings(node, isAlone: isAlone) + targets(node)
    return (schema.name, (isNamed ? [own] : []) + details)
  }

  private func kernelTitle(_ node: NodeID) -> String {
    let label = (body.operation(of: node) as? FusedKernel)?.label ?? ""
    return label.split(separator: "+").joined(separator: " + ")
  }

  private func ownName(_ node: NodeID) -> String {
    body.name(of: node).split(separator: "/").last.map(String.init) ?? ""
  }

  private func resultText(_ node: NodeID) -> String {
    body.results(of: node).first.flatMap { body.type(of: $0).content }.map { AttributeText.short($0) } ?? ""
  }

  /// The operands that are not drawn: `filter: w 5×5×1×32`. In a chain those that are vectors go without saying.
  private func parameters(_ node: NodeID, isAlone: Bool) -> [String] {
    let schema = body.schema(of: node)
    let operands = body.operands(of: node)
    var lines: [String] = []
    for (i, operand) in operands.enumerated() {
      guard let shown = grouping.parameter(body.producer(of: operand)) else { continue }
      if !isAlone, body.constant(operand).map({ $0.tensor.elementCount > 8 }) ?? true, type(operand)?.shape.rank == 1 {
        continue
      }
      let name = body.operation(of: node) is FusedKernel ? "←" : schema.inputName(i, of: operands.count) + ":"
      lines.append("\(name) \(parameterText(shown, in: node))")
    }
    return lines.count <= 5 ? lines : Array(lines.prefix(4)) + ["… \(lines.count - 4) more"]
  }

  private func type(_ value: ValueID) -> TensorType? { body.type(of: value).content }

  /// The variables that get a new value here: `→ conv1/w`.
  private func targets(_ node: NodeID) -> [String] { (assigned[node] ?? []).map { "→ \($0)" } }

  /// A constant's elements, or the name of a variable or large constant, without the scopes that its user stands in too.
  private func parameterText(_ node: NodeID, in user: NodeID) -> String {
    let value = body.results(of: node).first
    if let constant = value.flatMap({ body.constant($0) }) {
      guard constant.tensor.elementCount > 8 else { return AttributeText.short(constant) }
      return "\(name(of: node, in: user)) \(AttributeText.short(constant.tensor.type))"
    }
    return "\(name(of: node, in: user)) \(resultText(node))"
  }

  private func name(of node: NodeID, in user: NodeID) -> String {
    let name = variables[node] ?? body.name(of: node)
    let scope = body.name(of: user).split(separator: "/").dropLast().joined(separator: "/") + "/"
    return scope.count > 1 && name.hasPrefix(scope) ? String(name.dropFirst(scope.count)) : name
  }

  /// Attributes that are not as they are by default.
  private func settings(_ node: NodeID, isAlone: Bool) -> [String] {
    let operation = body.operation(of: node)
    guard !(operation is ForeignOperation), operation.functions.isEmpty else {
      return operation.functions.map { "@\($0.name)" }
    }
    let usual = Swift.type(of: operation).init().attributes
    let items = body.attributes(of: node).items.filter { item in
      if case .type = item.value { return false }
      return item.value != usual[item.name]
    }
    let lines = items.map { "\($0.name): \(AttributeText.short($0.value))" }.filter { $0.count <= 32 }
    return Array(lines.prefix(isAlone ? 3 : 1))
  }

  private func tooltip(_ node: NodeID) -> String {
    var lines = [body.name(of: node)]
    lines += body.attributes(of: node).items.map { "\($0.name): \(AttributeText.short($0.value))" }
    if showsSites, let site = body.site(of: node).resolved { lines.append("at \(site.shortPath):\(site.line)") }
    return lines.joined(separator: "\n")
  }

  /// The operations of which a folded scope has most.
  private func mostFrequent(_ nodes: [NodeID]) -> [String] {
    var counts: [(name: String, count: Int)] = []
    var index: [String: Int] = [:]
    for node in nodes {
      let name = body.operation(of: node) is FusedKernel ? "kernel" : body.schema(of: node).name
      if let i = index[name] {
        counts[i].count += 1
      } else {
        index[name] = counts.count
        counts.append((name, 1))
      }
    }
    let most = counts.enumerated().sorted { ($1.element.count, $0.offset) < ($0.element.count, $1.offset) }.prefix(3)
    return most.map { $0.element.count == 1 ? $0.element.name : "\($0.element.name) ×\($0.element.count)" }
  }

  private func style(_ node: NodeID) -> DOTStyle {
    let traits = body.traits(of: node)
    if variables[node] != nil { return .variable }
    if traits.contains(.placeholder) || traits.contains(.argument) { return .placeholder }
    if traits.contains(.constant) { return .constant }
    let operation = body.operation(of: node)
    if operation is FusedKernel { return .kernel }
    if !operation.functions.isEmpty { return .control }
    switch body.stateRole(of: node) {
    case .variable: return .variable
    case .assign, .accumulate, .update: return .effect
    default: break
    }
    if body.hasEffect(node) { return .effect }
    return body.hasLibraryForm(node) ? .library : .operation
  }
}
