import Martlet
import MartletTestSupport
import Testing

@testable import MartletFormats

/// What a GraphDef becomes as a graph.
@Suite struct GraphDefReaderTests {
  static func placeholder(_ name: String, _ type: Int32 = 1, _ shape: [Int64] = [2]) -> NodeRecord {
    NodeRecord(
      name: name, op: "Placeholder",
      attributes: [
        NamedAttribute("dtype", .type(type)),
        NamedAttribute("shape", .shape(ShapeRecord(dimensions: shape.map { .init(size: $0) }))),
      ])
  }

  static func node(_ name: String, _ op: String, _ inputs: [String], _ type: Int32? = 1) -> NodeRecord {
    NodeRecord(name: name, op: op, inputs: inputs, attributes: type.map { [NamedAttribute("T", .type($0))] } ?? [])
  }

  /// The text form of a graph, one line a node.
  static func lines(_ graph: Graph) -> [String] {
    GraphPrinter().print(graph).split(separator: "\n").dropFirst().dropLast().map {
      String($0.drop { $0 == " " })
    }
  }

  @Test func nodesMayStandInAnyOrder() throws {
    let record = GraphDefRecord(nodes: [
      Self.node("z", "Mul", ["y", "x"]), Self.node("y", "AddV2", ["x:0", "x", "^go"]), Self.node("go", "NoOp", [], nil),
      Self.placeholder("x"),
    ])
    let graph = try Graph(record)
    #expect(
      Self.lines(graph) == [
        "%x = Placeholder() {dtype: float32, shape: shape[2]} : float32[2]", "%go = NoOp()",
        "%y = AddV2(%x, %x) after %go : float32[2]", "%z = Mul(%y, %x) : float32[2]",
      ])
  }

  @Test func devicesAndOlderNamesAreRead() throws {
    var add = Self.node("y", "Add", ["x", "x"])
    add.device = "/cpu:0"
    add.attributes += [
      NamedAttribute("_class", .string("loc:@x")),
      NamedAttribute("_output_shapes", .list(ListRecord(shapes: [.unknown]))),
    ]
    let graph = try Graph(GraphDefRecord(nodes: [Self.placeholder("x"), add]))
    #expect(Self.lines(graph)[1] == "%y = AddV2(%x, %x) on \"/cpu:0\" : float32[2]")
  }

  /// Operations that Martlet does not know come back as they were: attributes, inputs, device, fields of later versions.
  @Test func unknownOperationsSurvive() throws {
    let fixture = try GraphDefRecord(contentsOf: Fixture.path("GraphDef/attributes.pb"))
    var nodes = fixture.nodes.filter { node in
      // Constants of types that Martlet computes with are understood, not kept.
      node.op != "Const" || ["strings", "complex"].contains(node.name)
    }
    nodes[0].inputs = ["other:3", "strings", "^complex"]
    nodes[0].attributes.removeAll { $0.name == "p" }
    nodes.append(NodeRecord(name: "other", op: "Source", inputs: ["^complex"]))
    nodes.append(NodeRecord(name: "same", op: "Source", inputs: ["other:1", "^complex"]))
    let graph = try Graph(GraphDefRecord(nodes: nodes))
    let written = try graph.graphDef()
    for node in nodes { #expect(written.nodes.first { $0.name == node.name } == node, "\(node.name)") }
    #expect(graph.output(named: "other:3") != nil)
    let refusal = #expect(throws: DiagnosticList.self) { try Session(graph).run(graph.output(named: "other:3")!) }
    #expect(refusal?.diagnostics.contains { $0.message.contains("does not know the operation Source") } == true)
    // In Martlet's own text form too.
    try Fixture.withTemporaryFolder { folder in
      try graph.save(folder + "/graph.mtg")
      #expect(try Graph(loading: folder + "/graph.mtg").graphDef() == written)
    }
  }

  /// What knows its operand's type tells it of an operation that is not known, so that a feed can take its place.
  @Test func feedsTakeThePlaceOfUnknownOperations() throws {
    let graph = try Graph(
      GraphDefRecord(nodes: [
        NodeRecord(name: "decoded", op: "DecodeRawer"), Self.node("y", "AddV2", ["decoded:1", "decoded:1"]),
      ]))
    let decoded = try #require(graph.output(named: "decoded:1"))
    #expect(decoded.elementType == .float32)
    let y = try Session(graph).run(graph.output(named: "y")!, feeds: [decoded: Tensor([1, 2] as [Float])])
    #expect(y.scalars(as: Float.self) == [2, 4])
  }

  @Test func typesThatMartletLacksAreKept() throws {
    let record = GraphDefRecord(nodes: [Self.placeholder("x", 5), Self.node("y", "Relu", ["x"], 5)])
    let graph = try Graph(record)
    #expect(try graph.graphDef().nodes == record.nodes)
    let error = #expect(throws: (any Error).self) { try Session(graph).run(graph.output(named: "y")!) }
    #expect("\(try #require(error))".contains("int16"))
  }

  @Test func variablesWithoutANameHaveThatOfTheirNode() throws {
    func variable(_ name: String) -> NodeRecord {
      NodeRecord(
        name: name, op: "VarHandleOp",
        attributes: [
          NamedAttribute("dtype", .type(1)), NamedAttribute("shape", .shape(ShapeRecord([2]))),
          NamedAttribute("shared_name", .string("")),
        ])
    }
    let graph = try Graph(GraphDefRecord(nodes: [variable("a"), variable("b")]))
    let roles = graph.storage.nodes.map { graph.storage.stateRole(of: $0) }
    #expect(roles == [.variable("a"), .variable("b")])
  }

  /// A few bytes that stand for a large array become a Fill, which takes its memory when it is run.
  @Test func largeSplatsTakeNoMemory() throws {
    let shape = ShapeRecord([1 << 20, 1 << 16])
    let value = TensorRecord(type: 1, shape: shape, values: .floats([2.5]))
    let record = GraphDefRecord(nodes: [
      NodeRecord(
        name: "c", op: "Const",
        attributes: [NamedAttribute("dtype", .type(1)), NamedAttribute("value", .tensor(value))])
    ])
    let graph = try Graph(record)
    let c = try #require(graph.output(named: "c"))
    #expect(c.type == .tensor(.float32, [1 << 20, 1 << 16]))
    let corner = slice(c, begin: [5, 7], size: [1, 2])
    #expect(try Session(graph).run(corner).scalars(as: Float.self) == [2.5, 2.5])
  }

  @Test func assertionsShowNoText() throws {
    let text = TensorRecord(type: 7, shape: ShapeRecord([]), values: .none)
    var assertion = NodeRecord(name: "a", op: "Assert", inputs: ["ok", "message", "ok"])
    assertion.attributes = [NamedAttribute("T", .list(ListRecord(types: [7, 10])))]
    let graph = try Graph(
      GraphDefRecord(nodes: [
        NodeRecord(
          name: "message", op: "Const",
          attributes: [NamedAttribute("dtype", .type(7)), NamedAttribute("value", .tensor(text))]),
        Self.placeholder("ok", 10, []), assertion,
      ]))
    #expect(Self.lines(graph).last == "%a = Assert(%ok, %ok) {summarize: 3}")
  }

  /// A function's results are named by the operation's outputs.
  @Test func functionsAreRead() throws {
    var signature = SignatureRecord(
      name: "f", inputs: [.init(name: "x", type: 1)],
      outputs: [.init(name: "second", type: 1), .init(name: "same", type: 1)])
    signature.controlOutputs = ["checked"]
    let axis = TensorRecord(Tensor(Int32(0)))
    var split = NodeRecord(name: "split", op: "Split", inputs: ["axis:output:0", "x"])
    split.attributes = [NamedAttribute("T", .type(1)), NamedAttribute("num_split", .int(2))]
    var record = FunctionRecord(
      signature: signature,
      nodes: [
        split,
        NodeRecord(
          name: "axis", op: "Const",
          attributes: [NamedAttribute("dtype", .type(3)), NamedAttribute("value", .tensor(axis))]),
        NodeRecord(name: "done", op: "NoOp", inputs: ["^split"]),
      ], returns: [.init("same", "x"), .init("second", "split:output:1")])
    record.controlReturns = [.init("checked", "done")]
    var call = NodeRecord(name: "y", op: "StatefulPartitionedCall", inputs: ["x"])
    call.attributes = [
      NamedAttribute("Tin", .list(ListRecord(types: [1]))), NamedAttribute("Tout", .list(ListRecord(types: [1, 1]))),
      NamedAttribute("f", .function(FunctionReference(name: "f"))),
    ]
    let graph = try Graph(GraphDefRecord(nodes: [call, Self.placeholder("x", 1, [4])], library: [record]))
    let function = try #require(graph.library[FunctionName("f")])
    #expect(function.targets.count == 1)
    let fetches = ["y", "y:1"].compactMap { graph.output(named: $0) }
    var evaluator = ReferenceEvaluator()
    let values = try evaluator.evaluate(fetches, feeds: [graph.output(named: "x")!: Tensor([1, 2, 3, 4] as [Float])])
    #expect(values.map { $0.scalars(as: Float.self) } == [[3, 4], [1, 2, 3, 4]])
  }

  /// A function that a graph cannot hold is kept as it is, with those that call it.
  @Test(arguments: [20 + 1, 0]) func functionsThatMartletLacksAreKept(_ type: Int32) throws {
    var input = SignatureRecord.Argument(name: "x", type: type)
    if type == 0 { input.typeAttribute = "T" }
    let signature = SignatureRecord(name: "f", inputs: [input], outputs: [input])
    let function = FunctionRecord(
      signature: signature, nodes: [NodeRecord(name: "n", op: "Unheard", inputs: ["x"])], returns: [.init("x", "n:y:0")]
    )
    var call = NodeRecord(name: "y", op: "PartitionedCall", inputs: ["x"])
    call.attributes = [NamedAttribute("f", .function(FunctionReference(name: "f")))]
    let record = GraphDefRecord(nodes: [Self.placeholder("x"), call], library: [function])
    let graph = try Graph(record)
    let written = try graph.graphDef()
    #expect(written.library == [function])
    #expect(written.nodes == record.nodes)
  }

  /// The graph with functions that TensorFlow has written: x·w through a layer, three times halved, summed.
  @Test func computesAGraphWithFunctions() throws {
    let graph = try Graph(loading: Fixture.path("GraphDef/functions.pb"))
    let x = try #require(graph.output(named: "x"))
    let out = try #require(graph.output(named: "out"))
    let feed = Tensor([1, 1, 1] as [Float], shape: [1, 3])
    // Its constants are placed on the processor, which the interpreter is not.
    #expect(
      try Session(graph, options: SessionOptions(device: .cpu)).run(out, feeds: [x: feed]).item(as: Float.self) == 66.0
        / 8 / 8)
  }
}
