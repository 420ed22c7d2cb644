import Foundation
import Martlet
import Testing

@Suite struct GraphDOTTests {
  /// The lines behind the heading, which is the same in all drawings but for title and legend.
  static func body(_ text: String) -> String {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard let edge = lines.firstIndex(where: { $0.hasPrefix("  edge [") }) else { return text }
    return lines[(edge + 1)...].joined(separator: "\n")
  }

  static func parse(_ text: String) throws -> Graph {
    try Graph(parsing: text) { name, attributes throws(Diagnostic) in
      try Catalog.standard.operation(named: name, attributes: attributes)
    }
  }

  static let layer = """
    graph {
      %x = Placeholder() {dtype: float32, shape: shape[?, 4]} : float32[?, 4]
      %layer/w = Const() {value: float32[4, 3] <1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12>} : float32[4, 3]
      %layer/product = MatMul(%x, %layer/w) : float32[?, 3]
      %two = Const() {value: float32[] <2>} : float32[]
      %layer/scaled = Mul(%layer/product, %two) : float32[?, 3]
      %done = NoOp() after %layer/scaled
    }
    """

  @Test("Nodes, scopes, shapes, inlined constants and control edges")
  func smallGraph() throws {
    let text = GraphDOT(showsSites: false).text(try Self.parse(Self.layer), title: "layer")
    #expect(text.hasPrefix("digraph \"layer\" {\n"))
    #expect(
      Self.body(text) == #"""
          f0_n0 [label=<<b>x</b><br/><font point-size="8" color="#3e4c59">?×4</font>>, shape=cds, style=filled, margin="0.22,0.1", fillcolor="#cdebcf", tooltip="x\ndtype: float32\nshape: [?, 4]"]
          f0_n5 [label=<<b>NoOp</b><br/><font point-size="8" color="#3e4c59">done</font>>, fillcolor="#fbe3dd", tooltip="done"]
          subgraph cluster_1 {
            label="layer"; labeljust=l; fontsize=9
            fontcolor="#52606d"; style="rounded,filled"; color="#cbd2d9"; fillcolor="#5060700a"
            f0_n1 [label=<<b>w</b><br/><font point-size="8" color="#3e4c59">float32 4×3</font>>, shape=note, style=filled, fillcolor="#e6e6e6", tooltip="layer/w\nvalue: float32 4×3"]
            f0_n2 [label=<<b>MatMul</b><br/><font point-size="8" color="#3e4c59">product</font>>, fillcolor="#b9d9f5", tooltip="layer/product\ntranspose_a: false\ntranspose_b: false"]
            f0_n4 [label=<<b>Mul</b><br/><font point-size="8" color="#3e4c59">scaled</font><br/><font point-size="8" color="#3e4c59">y: 2</font>>, fillcolor="#eef3f8", tooltip="layer/scaled"]
          }
          f0_n0 -> f0_n2 [label="?×4"]
          f0_n1 -> f0_n2 [label="4×3", weight=4]
          f0_n2 -> f0_n4 [label="?×3", weight=4]
          f0_n4 -> f0_n5 [style=dashed, color="#c3a6a0", arrowhead=empty, arrowsize=0.5]
        }

        """#)
  }

  @Test("Drawn twice, a graph gives the same text")
  func deterministic() throws {
    let first = GraphDOT().text(try Self.parse(Self.layer))
    #expect(try GraphDOT().text(Self.parse(Self.layer)) == first)
  }

  @Test("A variable, its reading and its first value are one node")
  func variable() {
    let graph = Graph()
    let w = graph.variable("dense/w", [2, 2], .heNormal)
    let loss = sum(w * 2, axes: [0, 1], name: "loss")
    _ = GradientDescent(learningRate: 0.1).minimize(loss)
    _ = graph.initializer
    let text = GraphDOT(showsSites: false).text(graph)
    #expect(text.contains("<b>w</b>"))
    #expect(text.contains("shape=cylinder"))
    for hidden in ["Initializer", "ReadVariableOp", "tooltip=\"dense/w/Assign", ">init<"] {
      #expect(!text.contains(hidden))
    }
  }

  @Test("Names cannot leave their quotes")
  func hostileNames() {
    let graph = Graph()
    _ = graph.placeholder(.float32, shape: [2], name: "a\"]<b>&\n->\u{1}")
    let text = GraphDOT(showsSites: false).text(graph, title: "t\" <x>")
    #expect(text.contains("<b>a&quot;]&lt;b&gt;&amp; -&gt; </b>"))
    #expect(text.contains("tooltip=\"a\\\"]<b>&\\n-> \\ndtype: float32"))
    #expect(text.contains("digraph \"t\\\" <x>\" {"))
  }

  @Test("The new values of a program's variables are drawn")
  func program() throws {
    let graph = Graph()
    let counter = graph.variable("counter", [], .zeros)
    let x = graph.placeholder(.float32, shape: [], name: "x")
    let update = counter.variable?.assign(counter * x)
    let session = try Session(graph, options: SessionOptions(device: .interpreter))
    let program = try session.program(
      for: [], targets: [try #require(update)], feeds: [x: TensorType(.float32, [])])
    let text = GraphDOT(showsSites: false).text(program, title: "update")
    #expect(text.contains("<b>counter</b><br/><font point-size=\"8\" color=\"#3e4c59\">scalar</font>"))
    #expect(text.contains("<b>counter</b><br/><font point-size=\"8\" color=\"#3e4c59\">new value</font>"))
    #expect(text.contains("generated kernel"))
  }
}
