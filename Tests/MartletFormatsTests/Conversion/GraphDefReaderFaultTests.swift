import Martlet
import Testing

@testable import MartletFormats

/// Graphs that are wrong are refused with a message that names the node and the field.
@Suite struct GraphDefReaderFaultTests {
  struct Fault: Sendable, CustomStringConvertible {
    var description: String
    var nodes: [NodeRecord]
    var library: [FunctionRecord] = []
    /// What the message has.
    var message: [String]
  }

  private static let x = GraphDefReaderTests.placeholder("x")
  private static func node(_ name: String, _ op: String, _ inputs: [String], _ type: Int32? = 1) -> NodeRecord {
    GraphDefReaderTests.node(name, op, inputs, type)
  }

  private static func function(_ name: String, _ nodes: [NodeRecord], returns: String) -> FunctionRecord {
    FunctionRecord(
      signature: SignatureRecord(name: name, inputs: [.init(name: "a", type: 1)], outputs: [.init(name: "b", type: 1)]),
      nodes: nodes, returns: [.init("b", returns)])
  }

  private static func call(_ name: String, _ function: String, _ input: String) -> NodeRecord {
    NodeRecord(
      name: name, op: "PartitionedCall", inputs: [input],
      attributes: [NamedAttribute("f", .function(FunctionReference(name: function)))])
  }

  static let faults: [Fault] = [
    Fault(description: "no name", nodes: [node("", "NoOp", [])], message: ["node[0]", "no name"]),
    Fault(description: "one name twice", nodes: [x, x], message: ["Placeholder 'x'", "two nodes"]),
    Fault(
      description: "missing input", nodes: [x, node("y", "Relu", ["z"])],
      message: ["Relu 'y'", "input 0 'z'", "no node 'z'"]),
    Fault(description: "missing control", nodes: [node("y", "NoOp", ["^z"])], message: ["NoOp 'y'", "no node 'z'"]),
    Fault(
      description: "missing result", nodes: [x, node("y", "Relu", ["x:1"])], message: ["input 0", "'x'", "result"]),
    Fault(description: "no number", nodes: [x, node("y", "Relu", ["x:one"])], message: ["input 0 'x:one'"]),
    Fault(description: "number below 0", nodes: [x, node("y", "Relu", ["x:-1"])], message: ["input 0 'x:-1'"]),
    Fault(
      description: "control first", nodes: [x, node("y", "Relu", ["^x", "x"])], message: ["behind a control input"]),
    Fault(
      description: "itself", nodes: [node("y", "Relu", ["y"])], message: ["Relu 'y'", "each other's results"]),
    Fault(
      description: "a circle by a control edge",
      nodes: [x, node("y", "Relu", ["x", "^z"]), node("z", "Relu", ["y"])],
      message: ["Relu 'y'", "Relu 'z'", "each other's results"]),
    Fault(
      description: "TensorFlow's first loops",
      nodes: [
        x, node("m", "Merge", ["x", "n"]), node("s", "Switch", ["m", "x"]), node("n", "NextIteration", ["s:1"]),
      ], message: ["control flow version 1", "enable_control_flow_v2"]),
    Fault(
      description: "other type", nodes: [x, node("y", "Relu", ["x"], 2)],
      message: ["Relu 'y'", "attribute 'T'", "float32", "float64"]),
    Fault(
      description: "too few operands", nodes: [x, node("y", "AddV2", ["x"])], message: ["AddV2 'y'", "operands"]),
    Fault(
      description: "shapes that do not fit",
      nodes: [x, GraphDefReaderTests.placeholder("w", 1, [3]), node("y", "AddV2", ["x", "w"])],
      message: ["AddV2 'y'", "broadcast"]),
    Fault(
      description: "wrong number",
      nodes: [
        x,
        NodeRecord(
          name: "y", op: "Pack", inputs: ["x", "x"],
          attributes: [NamedAttribute("N", .int(3)), NamedAttribute("T", .type(1))]),
      ], message: ["Pack 'y'", "attribute 'N'", "2", "3"]),
    Fault(
      description: "attribute of another kind",
      nodes: [x, NodeRecord(name: "y", op: "Pack", inputs: ["x"], attributes: [NamedAttribute("axis", .bool(true))])],
      message: ["Pack 'y'", "attribute 'axis'"]),
    Fault(
      description: "no value",
      nodes: [NodeRecord(name: "c", op: "Const", attributes: [NamedAttribute("dtype", .type(1))])],
      message: ["Const 'c'", "attribute 'value' is missing"]),
    Fault(
      description: "no type", nodes: [NodeRecord(name: "p", op: "Placeholder")],
      message: ["Placeholder 'p'", "attribute 'dtype' is missing"]),
    Fault(
      description: "values that do not fit",
      nodes: [
        NodeRecord(
          name: "c", op: "Const",
          attributes: [
            NamedAttribute("dtype", .type(1)),
            NamedAttribute(
              "value", .tensor(TensorRecord(type: 1, shape: ShapeRecord([2]), values: .content([1, 2, 3])))),
          ])
      ], message: ["Const 'c'", "attribute 'value'", "8 bytes"]),
    Fault(
      description: "results without end",
      nodes: [
        GraphDefReaderTests.placeholder("x", 1, [65535]),
        NodeRecord(
          name: "d", op: "Const",
          attributes: [
            NamedAttribute("dtype", .type(3)), NamedAttribute("value", .tensor(TensorRecord(Tensor(Int32(0))))),
          ]),
      ]
        + (0..<3).map { i in
          NodeRecord(
            name: "s\(i)", op: "Split", inputs: ["d", "x"], attributes: [NamedAttribute("num_split", .int(65535))])
        }, message: ["Split 's1'", "far more results"]),
    Fault(
      description: "a far result of an unknown operation",
      nodes: [NodeRecord(name: "u", op: "Unheard"), NodeRecord(name: "y", op: "Unheard", inputs: ["u:2000000000"])],
      message: ["Unheard 'u'", "2000000001 results"]),
    Fault(
      description: "a call of itself", nodes: [x, call("y", "f", "x")],
      library: [function("f", [call("c", "f", "a")], returns: "c:output:0")], message: ["'f'", "calls itself"]),
    Fault(
      description: "no such output", nodes: [x, call("y", "f", "x")],
      library: [function("f", [node("r", "Relu", ["a"])], returns: "r:product:0")], message: ["'r'", "product:0"]),
    Fault(
      description: "no such value", nodes: [x, call("y", "f", "x")],
      library: [function("f", [node("r", "Relu", ["a"])], returns: "q:y:0")], message: ["'f'", "'b'"]),
    Fault(
      description: "a value as in a graph", nodes: [x, call("y", "f", "x")],
      library: [function("f", [node("r", "Relu", ["a"]), node("s", "Relu", ["r"])], returns: "s:activations:0")],
      message: ["Relu 's' in function 'f'", "input 0 'r'", "node:output:number"]),
    Fault(
      description: "a function twice", nodes: [],
      library: [function("f", [], returns: "a"), function("f", [], returns: "a")], message: ["two functions", "'f'"]),
    Fault(
      description: "no such function", nodes: [x, call("y", "g", "x")], message: ["PartitionedCall 'y'", "'f'", "@g"]),
    Fault(
      description: "functions without end", nodes: [x, call("y", "f0", "x")],
      library: (0..<80).map { i in
        function("f\(i)", i < 79 ? [call("c", "f\(i + 1)", "a")] : [], returns: i < 79 ? "c:output:0" : "a")
      }, message: ["64 levels"]),
  ]

  @Test(arguments: faults) func isRefused(_ fault: Fault) throws {
    let record = GraphDefRecord(nodes: fault.nodes, library: fault.library)
    let error = #expect(throws: Diagnostic.self) { try Graph(record, file: "folder/model.pb") }
    let text = try #require(error).description
    for part in fault.message + ["model.pb"] { #expect(text.contains(part), "\(text)") }
  }

  /// A chain of nodes in the worst order: nothing may call itself for each of them.
  @Test func longChainsAreReadBackwards() throws {
    var nodes = [Self.x]
    for i in 0..<100_000 { nodes.append(Self.node("n\(i)", "Relu", [i == 0 ? "x" : "n\(i - 1)"])) }
    let graph = try Graph(GraphDefRecord(nodes: nodes.reversed()))
    #expect(graph.nodeCount == 100_001)
    #expect(try graph.graphDef(outputs: [graph.output(named: "n99999")!]).nodes == nodes)
  }
}
