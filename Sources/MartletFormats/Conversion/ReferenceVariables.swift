import MartletGraph

/// Writes the reference variables of TensorFlow 1 as resource variables, which is all that Martlet has.
///
/// An operation that is given a reference either takes it as such, to assign to it, and has a counterpart for resources; or it
/// takes the variable's value when it runs, which here is a read in front of it. A variable stays as it is if an operation
/// is given it of which Martlet does not know which it is.
struct ReferenceVariables {
  private var nodes: [NodeRecord]
  private let reader: GraphDefReader
  private var index: [String: Int] = [:]
  /// For each node whose first result is a reference, the variable's node.
  private var variables: [Int: Int] = [:]
  /// For each node that takes references, its counterpart.
  private var counterparts: [Int: Counterpart] = [:]

  private struct Counterpart {
    var name: String
    /// How many of the inputs, the first ones, are variables.
    var count: Int
    /// Whether the node's first result is its first input.
    var returnsReference: Bool
  }

  private static let variableNames: Set = ["Variable", "VariableV2"]
  /// Where "Resource" in front of the name is not the rule.
  private static let otherNames = [
    "Assign": "AssignVariableOp", "AssignAdd": "AssignAddVariableOp", "AssignSub": "AssignSubVariableOp",
    "IsVariableInitialized": "VarIsInitializedOp",
  ]
  /// What takes any values, although Martlet does not have it: what saves them.
  private static let savers: Set = ["Save", "SaveSlices", "SaveV2"]

  /// - Returns: The nodes of a graph with resource variables.
  static func replaced(_ nodes: [NodeRecord], _ reader: GraphDefReader) -> [NodeRecord] {
    guard nodes.contains(where: { variableNames.contains($0.op) }) else { return nodes }
    var replacement = ReferenceVariables(nodes, reader)
    return replacement.run()
  }

  private init(_ nodes: [NodeRecord], _ reader: GraphDefReader) {
    (self.nodes, self.reader) = (nodes, reader)
    for (i, node) in nodes.enumerated() where index[node.name] == nil { index[node.name] = i }
    for (i, node) in nodes.enumerated() {
      if Self.variableNames.contains(node.op) { variables[i] = i }
      counterparts[i] = counterpart(of: node)
    }
    // What hands a reference on may stand before what it is given it by.
    var followed: Set<Int> = []
    for (i, counterpart) in counterparts where counterpart.returnsReference {
      var chain: [Int] = []
      var next: Int? = i
      while let node = next, variables[node] == nil, counterparts[node]?.returnsReference == true,
        followed.insert(node).inserted
      {
        chain.append(node)
        next = nodes[node].inputs.first.flatMap { source($0) }
      }
      guard let variable = next.flatMap({ variables[$0] }) else { continue }
      for node in chain { variables[node] = variable }
    }
  }

  private func counterpart(of node: NodeRecord) -> Counterpart? {
    let other = Self.otherNames[node.op]
    let name = other ?? "Resource\(node.op)"
    guard let schema = reader.kind(named: name)?.schema, other != nil || schema.outputs.isEmpty else { return nil }
    return Counterpart(
      name: name, count: schema.inputs.prefix { $0.type == "resource" }.count, returnsReference: schema.outputs.isEmpty)
  }

  /// The node whose result 0 a data input is.
  private func source(_ input: String) -> Int? {
    guard !input.hasPrefix("^") else { return nil }
    return index[input.hasSuffix(":0") ? String(input.dropLast(2)) : input]
  }

  private func variable(ofInput position: Int, of node: Int) -> Int? {
    guard position < nodes[node].inputs.count else { return nil }
    return source(nodes[node].inputs[position]).flatMap { variables[$0] }
  }

  /// The variables among a node's data inputs.
  private func variables(of node: Int) -> [Int] {
    nodes[node].inputs.indices.compactMap { variable(ofInput: $0, of: node) }
  }

  /// The variables that stay references.
  private func kept() -> Set<Int> {
    var kept: Set<Int> = []
    var waiting: [Int] = []
    /// By variable the nodes that become others, unless one of their variables is kept.
    var users: [Int: [Int]] = [:]
    func keep(_ variables: [Int]) {
      for variable in variables where kept.insert(variable).inserted { waiting.append(variable) }
    }
    for (i, node) in nodes.enumerated() {
      let used = variables(of: i)
      guard !used.isEmpty else { continue }
      guard let counterpart = counterparts[i] else {
        if reader.kind(named: node.op) == nil, !Self.savers.contains(node.op) { keep(used) }
        continue
      }
      let references = (0..<min(counterpart.count, node.inputs.count)).map { variable(ofInput: $0, of: i) }
      if references.contains(nil) { keep(used) }
      for variable in references.compactMap(\.self) { users[variable, default: []].append(i) }
    }
    while let variable = waiting.popLast() {
      for user in users[variable] ?? [] { keep(variables(of: user)) }
    }
    return kept
  }

  private mutating func run() -> [NodeRecord] {
    let kept = kept()
    var names = Set(nodes.map(\.name))
    var result: [NodeRecord] = []
    result.reserveCapacity(nodes.count)
    for (i, node) in nodes.enumerated() {
      var new = node
      if variables[i] == i, !kept.contains(i) { new.op = "VarHandleOp" }
      var references = 0
      if let counterpart = counterparts[i], let first = variable(ofInput: 0, of: i), !kept.contains(first) {
        (new.op, references) = (counterpart.name, counterpart.count)
      }
      for (position, input) in node.inputs.enumerated() {
        guard let variable = variable(ofInput: position, of: i), !kept.contains(variable) else { continue }
        if position < references {
          new.inputs[position] = nodes[variable].name
          continue
        }
        var name = "\(node.name)/read_\(position)"
        while !names.insert(name).inserted { name += "_" }
        var controls = node.inputs.filter { $0.hasPrefix("^") }
        if let source = source(input), source != variable { controls.append("^" + nodes[source].name) }
        result.append(
          NodeRecord(
            name: name, op: "ReadVariableOp", inputs: [nodes[variable].name] + controls,
            device: nodes[variable].device, attributes: nodes[variable].attributes.filter { $0.name == "dtype" }))
        new.inputs[position] = name
      }
      // A reference that came out of an assignment is the variable as it is then.
      let passed = node.inputs.prefix(references).compactMap { source($0) }.filter { variables[$0] != $0 }
      new.inputs += passed.map { "^" + nodes[$0].name }
      result.append(new)
    }
    return result
  }
}
