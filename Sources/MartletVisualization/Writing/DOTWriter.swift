/// Writes the DOT language: a heading with a legend, nodes in nested clusters, then edges.
struct DOTWriter {
  struct Node {
    var id: String
    var label: DOTLabel
    var style: DOTStyle
    var tooltip: String
  }

  struct Edge {
    enum Kind {
      case data
      /// Data that goes far down the picture: drawn lightly, so that the way of the others stays visible.
      case far
      /// A control dependency.
      case control
      /// Keeps two nodes in order and is not seen.
      case order
      /// From an instruction to the block that it runs.
      case call
    }
    var from: String
    var to: String
    var label: String
    var kind: Kind
    /// Whether the edge says which node stands above the other.
    var isRanking = true
    /// How much it matters that the edge is short.
    var weight = 1
  }

  /// A box around nodes and further boxes.
  final class Cluster {
    var label: String
    var nodes: [Node] = []
    private(set) var children: [Cluster] = []
    private var index: [String: Int] = [:]
    init(_ label: String) { self.label = label }

    /// The child of this name, made if it is new.
    func child(_ name: String) -> Cluster {
      if let i = index[name] { return children[i] }
      index[name] = children.count
      children.append(Cluster(name))
      return children[children.count - 1]
    }

    /// Makes one box of boxes that have nothing but one box in them, and none of a box around a single node.
    func simplify() {
      for child in children { child.simplify() }
      var kept: [Cluster] = []
      for child in children {
        if child.children.isEmpty, child.nodes.count == 1 {
          child.nodes[0].label.heading = [child.label, child.nodes[0].label.heading].compactMap { $0 }
            .joined(separator: "/")
          nodes.append(child.nodes[0])
        } else if child.nodes.isEmpty, child.children.count == 1 {
          child.children[0].label = "\(child.label)/\(child.children[0].label)"
          kept.append(child.children[0])
        } else {
          kept.append(child)
        }
      }
      children = kept
    }
  }

  var title: String
  /// What stands behind the title, in small letters.
  var subtitle = ""
  let root = Cluster("")
  var edges: [Edge] = []
  /// Nodes that stand beside each other, from left to right.
  var rows: [[String]] = []

  init(title: String) { self.title = title }

  func text() -> String {
    var styles: Set<DOTStyle> = []
    Self.collect(root, &styles)
    var out = """
      digraph \(Self.quote(title)) {
        graph [rankdir=TB, fontname="Helvetica", fontsize=11, ranksep=0.3, nodesep=0.22, bgcolor="white", pad=0.2, newrank=true,
               labelloc=t, label=\(heading(styles))]
        node [fontname="Helvetica", fontsize=10, shape=box, style="rounded,filled", color="#7b8794", penwidth=0.8,
              margin="0.09,0.05", height=0.3]
        edge [fontname="Helvetica", fontsize=8, color="#52606d", fontcolor="#52606d", penwidth=0.9, arrowsize=0.6]

      """
    var number = 0
    write(root, indent: "  ", &number, &out)
    for row in rows { out += "  { rank=same; \(row.joined(separator: "; ")) }\n" }
    for edge in edges {
      var attributes: [String] = []
      if !edge.label.isEmpty { attributes.append("label=\(Self.quote(edge.label))") }
      switch edge.kind {
      case .data: break
      case .far: attributes += ["color=\"#b8c4d0\"", "arrowsize=0.5"]
      case .control: attributes += ["style=dashed", "color=\"#c3a6a0\"", "arrowhead=empty", "arrowsize=0.5"]
      case .order: attributes += ["style=invis", "weight=50"]
      case .call: attributes += ["style=dotted", "penwidth=1.2"]
      }
      if !edge.isRanking { attributes.append("constraint=false") }
      if edge.weight != 1 { attributes.append("weight=\(edge.weight)") }
      out += "  \(edge.from) -> \(edge.to)\(attributes.isEmpty ? "" : " [\(attributes.joined(separator: ", "))]")\n"
    }
    return out + "}\n"
  }

  /// The title, and what the colours of this picture mean.
  private func heading(_ styles: Set<DOTStyle>) -> String {
    let entries = DOTStyle.allCases.filter { styles.contains($0) }.map { style in
      "<td bgcolor=\"\(style.fill)\"><font point-size=\"9\">\(style.meaning)</font></td>"
    }
    var rows = ["<tr><td colspan=\"\(max(entries.count, 1))\"><b>\(DOTLabel.escape(title))</b>"]
    if !subtitle.isEmpty { rows[0] += "  <font color=\"#7b8794\">\(DOTLabel.escape(subtitle))</font>" }
    rows[0] += "</td></tr>"
    if entries.count > 1 { rows.append("<tr>\(entries.joined())</tr>") }
    return "<<table border=\"0\" cellborder=\"0\" cellspacing=\"4\" cellpadding=\"3\">\(rows.joined())</table>>"
  }

  private static func collect(_ cluster: Cluster, _ styles: inout Set<DOTStyle>) {
    for node in cluster.nodes { styles.insert(node.style) }
    for child in cluster.children { collect(child, &styles) }
  }

  private func write(_ cluster: Cluster, indent: String, _ number: inout Int, _ out: inout String) {
    for node in cluster.nodes {
      out += "\(indent)\(node.id) [label=\(node.label.html), \(node.style.attributes)"
      if !node.tooltip.isEmpty { out += ", tooltip=\(Self.quote(node.tooltip))" }
      out += "]\n"
    }
    for child in cluster.children {
      number += 1
      out += "\(indent)subgraph cluster_\(number) {\n"
      out += "\(indent)  label=\(Self.quote(DOTLabel.shortened(child.label))); labeljust=l; fontsize=9\n"
      out += "\(indent)  fontcolor=\"#52606d\"; style=\"rounded,filled\"; color=\"#cbd2d9\"; fillcolor=\"#5060700a\"\n"
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
