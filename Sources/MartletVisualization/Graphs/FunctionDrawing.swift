import MartletGraph
import MartletTensors

/// The nodes and edges that are drawn for one function, after grouping.
struct FunctionDrawing {
  private let function: GraphFunction
  private let body: GraphStorage
  private let nodes: [NodeID]
  private let prefix: String
  private let options: GraphDOT
  private let grouping: NodeGrouping
  /// The variables that are arguments and results.
  private var incoming: [NodeID: String] = [:]
  private var outgoing: [Int: String] = [:]

  /// - Parameters:
  ///   - prefix: goes before the names of nodes, so that those of different functions differ.
  ///   - variables: how variables come into the function and go out, if they are its arguments and results.
  init(
    _ function: GraphFunction, _ nodes: [NodeID], prefix: String, options: GraphDOT, variables: [VariableBinding] = []
  ) {
    self.function = function
    body = function.body
    self.nodes = nodes
    self.prefix = prefix
    self.options = options
    for variable in variables {
      if let argument = variable.argument {
        incoming[function.body.producer(of: function.arguments[argument])] = variable.name
      }
      if let result = variable.result { outgoing[result] = variable.name }
    }
    grouping = NodeGrouping(
      function, nodes: nodes, variables: Set(incoming.keys), variableResultCount: outgoing.count,
      maximumNodes: options.maximumNodes,
      inlineConstantCount: options.inlineConstantCount)
  }

  var drawnCount: Int { grouping.groups.count }

  func draw(in cluster: DOTWriter.Cluster, _ edges: inout [DOTWriter.Edge]) {
    var assigned: [NodeID: [String]] = [:]
    if grouping.hasParametersInLabels {
      for (number, result) in function.results.enumerated() {
        guard let name = outgoing[number] else { continue }
        assigned[body.producer(of: body.resolve(result)), default: []].append(name)
      }
    }
    let labels = NodeLabels(
      body, grouping, variables: incoming, assigned: assigned, showsSites: options.showsSites)
    for (number, group) in grouping.groups.enumerated() {
      let parent = group.path.reduce(cluster) { $0.child($1) }
      parent.nodes.append(
        DOTWriter.Node(
          id: id(number), label: labels.label(group), style: labels.style(group), tooltip: labels.tooltip(group)))
    }
    cluster.simplify()
    drawEdges(&edges)
    drawResults(in: cluster, &edges)
  }

  private func id(_ group: Int) -> String {
    let item = grouping.groups[group]
    return "\(prefix)\(item.kind == .scope ? "s" : "n")\(item.nodes[0].index)"
  }

  // MARK: Edges

  private struct Link: Hashable {
    var from: Int
    var to: Int
    var isControl: Bool
  }

  private struct LinkValue: Hashable {
    var link: Int
    var value: ValueID
  }

  private func drawEdges(_ edges: inout [DOTWriter.Edge]) {
    var index: [Link: Int] = [:]
    var seen: Set<LinkValue> = []
    var links: [(link: Link, values: [ValueID])] = []
    func add(_ from: NodeID, _ to: Int, _ value: ValueID?) {
      guard let source = grouping.group(of: from), source != to else { return }
      let link = Link(from: source, to: to, isControl: value == nil)
      if index[link] == nil {
        index[link] = links.count
        links.append((link, []))
      }
      guard let i = index[link], let value else { return }
      if seen.insert(LinkValue(link: i, value: value)).inserted { links[i].values.append(value) }
    }
    for node in nodes {
      guard let target = grouping.group(of: node) else { continue }
      for operand in body.operands(of: node) { add(body.producer(of: operand), target, operand) }
      for control in body.controls(of: node) { add(control, target, nil) }
    }
    let data = Set(links.filter { !$0.link.isControl }.map { [$0.link.from, $0.link.to] })
    let depths = depths(links.map(\.link))
    var isConnected = [Bool](repeating: false, count: grouping.groups.count)
    for (link, values) in links {
      // A control edge beside data says nothing more.
      if link.isControl, data.contains([link.from, link.to]) { continue }
      isConnected[link.from] = true
      isConnected[link.to] = true
      let isFar = depths[link.to] - depths[link.from] > Self.farDistance
      edges.append(
        DOTWriter.Edge(
          from: id(link.from), to: id(link.to), label: isFar ? "" : label(values),
          kind: link.isControl ? .control : isFar ? .far : .data, weight: !link.isControl && isInOnePart(link) ? 4 : 1))
    }
    placeUnconnected(isConnected, &edges)
  }

  /// Puts what no edge leads to or from below another node of its scope, where it would stand at the top of the picture.
  private func placeUnconnected(_ isConnected: [Bool], _ edges: inout [DOTWriter.Edge]) {
    var firstOfPart: [String: Int] = [:]
    for (number, group) in grouping.groups.enumerated() where isConnected[number] {
      if firstOfPart[group.part] == nil { firstOfPart[group.part] = number }
    }
    for (number, group) in grouping.groups.enumerated() where !isConnected[number] && !group.part.isEmpty {
      guard let other = firstOfPart[group.part] else { continue }
      edges.append(DOTWriter.Edge(from: id(other), to: id(number), label: "", kind: .order))
    }
  }

  /// Edges over more steps than this are drawn lightly.
  private static let farDistance = 6

  /// How far down each group stands.
  private func depths(_ links: [Link]) -> [Int] {
    var depths = [Int](repeating: 0, count: grouping.groups.count)
    // Groups of many nodes may use each other's, so that there is no order of them all; going over the edges in the
    // order of their users comes near enough.
    for link in links.sorted(by: { ($0.to, $0.from) < ($1.to, $1.from) }) {
      depths[link.to] = max(depths[link.to], depths[link.from] + 1)
    }
    // What only other parts of the graph lead to stands with its users, as the weights of edges have it.
    let isLed = Set(links.filter { isInOnePart($0) }.map(\.to))
    var lowest = [Int](repeating: .max, count: depths.count)
    for link in links.sorted(by: { ($0.from, $0.to) > ($1.from, $1.to) }) where isInOnePart(link) {
      lowest[link.from] = min(lowest[link.from], depths[link.to] - 1)
      if !isLed.contains(link.from) { depths[link.from] = max(depths[link.from], lowest[link.from]) }
    }
    return depths
  }

  /// Whether an edge stays within one outermost scope.
  private func isInOnePart(_ link: Link) -> Bool {
    grouping.groups[link.from].part == grouping.groups[link.to].part
  }

  private func label(_ values: [ValueID]) -> String {
    let types = values.compactMap { body.type(of: $0).tensor }.map { AttributeText.short($0) }
    guard let first = types.first else { return "" }
    if types.count == 1 { return first }
    return types.allSatisfy { $0 == first } ? "\(first) ×\(types.count)" : "\(types.count) values"
  }

  // MARK: Results

  private func drawResults(in cluster: DOTWriter.Cluster, _ edges: inout [DOTWriter.Edge]) {
    for (number, result) in function.results.enumerated() {
      let value = body.resolve(result)
      guard let source = grouping.group(of: body.producer(of: value)) else { continue }
      let variable = outgoing[number]
      if variable != nil, grouping.hasParametersInLabels { continue }
      let name = "\(prefix)r\(number)"
      let label =
        variable.map { DOTLabel($0, ["new value"]) } ?? DOTLabel(body.name(of: value), ["result \(number)"])
      cluster.nodes.append(
        DOTWriter.Node(
          id: name, label: label, style: variable == nil ? .result : .variable, tooltip: body.name(of: value)))
      edges.append(DOTWriter.Edge(from: id(source), to: name, label: self.label([value]), kind: .data))
    }
  }
}
