/// Writes the DOT language: nodes in nested clusters, then edges.
struct DOTWriter {
  struct Node {
    var id: String
    var label: String
    var style: DOTStyle
    var tooltip: String
  }
  struct Edge {
    var from: String
    var to: String
    var label: String
    var isControl: Bool
  }
  /// A box around nodes and further boxes.
  final class Cluster {
    let label: String
    var nodes: [Node] = []
    var children: [Cluster] = []
    private var index: [String: Int] = [:]
    init(_ label: String) { self.label = label }

    /// The child of this name, made if it is new.
    func child(_ name: String) -> Cluster {
      if let i = index[name] { return children[i] }
      index[name] = children.count
      children.append(Cluster(name))
      return children[children.count - 1]
    }
  }

  var title: String
  let root = Cluster("")
  var edges: [Edge] = []

  init(title: String) { self.title = title }

  func text() -> String {
    var out = """
      digraph \(Self.quote(title)) {
        graph [rankdir=TB, fontname="Helvetica", fontsize=11, ranksep=0.35, nodesep=0.25, compound=true,
               label=\(Self.quote(title)), labelloc=t, bgcolor="white"]
        node [fontname="Helvetica", fontsize=10, shape=box, style="rounded,filled", color="#5c6670", margin="0.10,0.05"]
        edge [fontname="Helvetica", fontsize=8, color="#5c6670", fontcolor="#5c6670", arrowsize=0.6]

      """
    var number = 0
    write(root, indent: "  ", &number, &out)
    for edge in edges {
      var attributes = [edge.label.isEmpty ? nil : "label=\(Self.quote(edge.label))"]
      if edge.isControl { attributes += ["style=dashed", "arrowhead=empty"] }
      let list = attributes.compactMap { $0 }
      out += "  \(edge.from) -> \(edge.to)\(list.isEmpty ? "" : " [\(list.joined(separator: ", "))]")\n"
    }
    return out + "}\n"
  }

  private func write(_ cluster: Cluster, indent: String, _ number: inout Int, _ out: inout String) {
    for node in cluster.nodes {
      out += "\(indent)\(node.id) [label=\(Self.quote(node.label)), \(node.style.attributes)"
      if !node.tooltip.isEmpty { out += ", tooltip=\(Self.quote(node.tooltip))" }
      out += "]\n"
    }
    for child in cluster.children {
      number += 1
      out += "\(indent)subgraph cluster_\(number) {\n"
      out += "\(indent)  label=\(Self.quote(child.label)); labeljust=l; fontsize=10; fontcolor=\"#5c6670\"\n"
      out += "\(indent)  style=\"rounded\"; color=\"#b8c0c8\"\n"
      write(child, indent: indent + "  ", &number, &out)
      out += "\(indent)}\n"
    }
  }

  /// A quoted string; `\n` stays a line break.
  static func quote(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case _ where scalar.value < 32: result += " "
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

/// How nodes look, by what they are.
enum DOTStyle {
  case operation, placeholder, variable, constant, kernel, library, control, effect, scope, result

  var attributes: String {
    switch self {
    case .operation: "fillcolor=\"#eef2f6\""
    case .placeholder: "shape=cds, style=filled, fillcolor=\"#cfe8cf\""
    case .variable: "shape=cylinder, style=filled, fillcolor=\"#ffe2b8\""
    case .constant: "shape=note, style=filled, fillcolor=\"#e4e4e4\""
    case .kernel: "fillcolor=\"#dcd0f0\""
    case .library: "fillcolor=\"#bfd9f2\""
    case .control: "shape=hexagon, style=filled, fillcolor=\"#f6c9c4\""
    case .effect: "fillcolor=\"#f9ddd8\""
    case .scope: "shape=box3d, style=filled, fillcolor=\"#f4f6d8\""
    case .result: "shape=cds, style=filled, fillcolor=\"#b9dcd6\""
    }
  }
}
