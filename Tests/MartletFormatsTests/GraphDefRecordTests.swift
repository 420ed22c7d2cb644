import MartletDiagnostics
import MartletTensors
import Testing

@testable import MartletFormats

/// The fixtures were written by TensorFlow; `Tests/Fixtures/GraphDef/generate.py` says what is in them.
@Suite struct GraphDefRecordTests {
  private func attributes() throws -> GraphDefRecord {
    try GraphDefRecord(contentsOf: Fixture.path("GraphDef/attributes.pb"))
  }

  @Test func readsNodes() throws {
    let record = try attributes()
    let node = try #require(record.nodes.first)
    #expect(node.name == "a/b.c")
    #expect(node.op == "Nobody'sOp")
    #expect(node.inputs == ["x", "y:3", "^control"])
    #expect(node.device == "/job:w/task:0/device:CPU:0")
    #expect(record.versions?.producer == 1987)
    #expect(record.versions?.minimumConsumer == 12)
    #expect(record.versions?.badConsumers == [7, 9])
    #expect(record.otherFields.map(\.number) == [5])
    #expect(record.nodes[1].otherFields.map(\.number) == [6, 7])
  }

  static let expectedAttributes: [(String, AttributeRecord)] = [
    ("s", .bytes(Array("\u{0}\u{1}".utf8) + [0xff] + Array(" \"quoted\" 'single' \\ \n\r\t\u{7f} café".utf8))),
    ("i", .int(.min)), ("zero", .int(0)), ("f", .float(1e-5)), ("nan", .float(.nan)), ("inf", .float(-.infinity)),
    ("b", .bool(true)), ("no", .bool(false)), ("type", .type(1)), ("ref", .type(101)), ("new_type", .type(77)),
    (
      "shape",
      .shape(ShapeRecord(dimensions: [.init(size: -1, name: "batch"), .init(size: 28)]))
    ),
    ("scalar", .shape(ShapeRecord([]))), ("rank", .shape(.unknown)), ("nothing", .unknown([])),
    ("p", .placeholder("T")),
    (
      "func",
      .function(
        FunctionReference(
          name: "body",
          attributes: [
            NamedAttribute("N", .int(3)), NamedAttribute("inner", .function(FunctionReference(name: "deep"))),
          ]))
    ),
    ("empty", .list(ListRecord())), ("li", .list(ListRecord(ints: [1, -2, 3]))),
    ("lt", .list(ListRecord(types: [1, 3, 9]))), ("lh", .list(ListRecord(shapes: [ShapeRecord([2]), .unknown]))),
  ]

  @Test(arguments: expectedAttributes.indices) func readsAttributes(_ index: Int) throws {
    let (name, value) = Self.expectedAttributes[index]
    #expect(try attributes().nodes[0].attributes[name] == value)
  }

  @Test func readsOtherLists() throws {
    let values = try attributes().nodes[0].attributes
    func list(_ name: String) throws -> ListRecord {
      guard case .list(let list) = values[name] else { throw Diagnostic("\(name) is not a list") }
      return list
    }
    #expect(try list("ls").bytes == [Array("one".utf8), [], Array("three".utf8)])
    #expect(try list("lf").floats.map(\.bitPattern) == ([0.1, -0.0, 3e38] as [Float]).map(\.bitPattern))
    #expect(try list("lb").bools == [true, false])
    #expect(try list("lr").functions == [FunctionReference(name: "f", attributes: [NamedAttribute("k", .string("v"))])])
    #expect(try list("lv").tensors.map { try $0.tensor() } == [Tensor([1, 2] as [Float])])
  }

  static let expectedTensors: [(String, Tensor)] = [
    ("content_f32", Tensor([0, 1, 2, 3, 4, 5] as [Float], shape: [2, 3])), ("content_f64", Tensor([0.1, -2.5])),
    ("content_i64", Tensor([1 << 40, -1] as [Int64])), ("content_bool", Tensor([true, false, true])),
    ("scalar_f32", Tensor(2.5 as Float)), ("scalar_bool", Tensor(true)),
    ("splat", Tensor([7, 7, 7, 7, 7, 7] as [Int32], shape: [2, 3])), ("empty", Tensor([] as [Float], shape: [0, 3])),
    ("half", Tensor(1.5 as Float16)),
    ("partial_u8", Tensor([200, 3, 3, 3, 3] as [UInt8])), ("zeros_i64", Tensor([0, 0, 0, 0] as [Int64])),
  ]

  @Test(arguments: expectedTensors.indices) func readsTensors(_ index: Int) throws {
    let (name, expected) = Self.expectedTensors[index]
    let node = try #require(try attributes().nodes.first { $0.name == name })
    guard case .tensor(let tensor) = node.attributes["value"] else { throw Diagnostic("\(name) has no value") }
    #expect(try tensor.tensor() == expected)
  }

  @Test(arguments: ["strings", "complex"]) func keepsTensorsItCannotComputeWith(_ name: String) throws {
    let node = try #require(try attributes().nodes.first { $0.name == name })
    guard case .tensor(let tensor) = node.attributes["value"] else { throw Diagnostic("\(name) has no value") }
    #expect(!tensor.otherFields.isEmpty)
    #expect(throws: Diagnostic.self) { try tensor.tensor() }
  }

  @Test func readsFunctions() throws {
    let record = try GraphDefRecord(contentsOf: Fixture.path("GraphDef/functions.pb"))
    let called = record.nodes.compactMap { node -> String? in
      guard case .function(let function) = node.attributes["f"] else { return nil }
      return function.name
    }
    let function = try #require(record.library.first { called.contains($0.signature.name) })
    #expect(function.signature.inputs.map(\.name) == ["x", "matmul_w"])
    #expect(function.signature.inputs.map(\.type) == [1, 1])
    #expect(function.nodes.map(\.op).contains("MatMul"))
    #expect(function.returns.count == function.signature.outputs.count)
    let names = Set(function.nodes.map(\.name))
    #expect(function.returns.allSatisfy { names.contains(String($0.value.prefix { $0 != ":" })) })
  }

  /// Written by TensorFlow in an order of the attributes that depends on how it was written; Martlet has one order.
  @Test(arguments: ["attributes", "functions"]) func writesWhatItReads(_ name: String) throws {
    let record = try GraphDefRecord(contentsOf: Fixture.path("GraphDef/\(name).pb"))
    let bytes = try record.encoded()
    #expect(try GraphDefRecord(bytes: bytes).encoded() == bytes)
    #expect(try sorted(record) == GraphDefRecord(bytes: bytes))
  }

  private func sorted(_ record: GraphDefRecord) -> GraphDefRecord {
    func sorted(_ attributes: [NamedAttribute]) -> [NamedAttribute] {
      attributes.sorted { $0.name < $1.name }.map { attribute in
        guard case .function(var function) = attribute.value else { return attribute }
        function.attributes = sorted(function.attributes)
        return NamedAttribute(attribute.name, .function(function))
      }
    }
    func sorted(_ node: NodeRecord) -> NodeRecord {
      var node = node
      node.attributes = sorted(node.attributes)
      return node
    }
    var result = record
    result.nodes = record.nodes.map { sorted($0) }
    result.library = record.library.map { function in
      var function = function
      function.nodes = function.nodes.map { sorted($0) }
      function.attributes = sorted(function.attributes)
      function.returns.sort { $0.name < $1.name }
      function.controlReturns.sort { $0.name < $1.name }
      function.argumentAttributes.sort { $0.position < $1.position }
      for i in function.argumentAttributes.indices {
        function.argumentAttributes[i].attributes = sorted(function.argumentAttributes[i].attributes)
      }
      return function
    }
    return result
  }

  @Test(arguments: ["attributes", "functions"]) func printsWhatTensorFlowPrints(_ name: String) throws {
    let text = String(decoding: try Fixture.bytes("GraphDef/\(name).pbtxt"), as: UTF8.self)
    let lines = try GraphDefRecord(contentsOf: Fixture.path("GraphDef/\(name).pb")).text().split(separator: "\n")
    let expected = text.split(separator: "\n")
    #expect(lines.count == expected.count)
    let difference = zip(lines, expected).enumerated().first { $0.element.0 != $0.element.1 }
    #expect(difference?.offset == nil)
  }

  @Test(arguments: ["attributes", "functions"]) func readsTextAsBinary(_ name: String) throws {
    let text = try GraphDefRecord(contentsOf: Fixture.path("GraphDef/\(name).pbtxt"))
    let binary = try GraphDefRecord(contentsOf: Fixture.path("GraphDef/\(name).pb"))
    let agree = text == sorted(binary)
    #expect(agree)
  }

  @Test(arguments: [GraphDefFormat.binary, .text]) func writesFiles(_ format: GraphDefFormat) throws {
    let record = try attributes()
    try Fixture.withTemporaryFolder { folder in
      try record.write(to: folder + "/graph", format: format)
      let agree = try GraphDefRecord(contentsOf: folder + "/graph") == sorted(record)
      #expect(agree)
      #expect(throws: Diagnostic.self) { try record.write(to: folder + "/none/graph", format: format) }
    }
  }

  @Test func keepsFieldsOfNewerVersions() throws {
    // A node (field 1) with name "n", an unknown field 200 with a number, and an attribute "a" whose value has only an
    // unknown field 31; then an unknown field 9 of the graph.
    let node: [UInt8] = [0x0a, 1, 0x6e, 0x2a, 9, 0x0a, 1, 0x61, 0x12, 4, 0xfa, 0x01, 1, 0x7a, 0xc0, 0x0c, 5]
    let bytes: [UInt8] = [0x0a, UInt8(node.count)] + node + [0x4d, 1, 2, 3, 4]
    let record = try GraphDefRecord(bytes: bytes)
    #expect(record.nodes[0].otherFields == [FieldRecord(number: 200, wireType: 0, bytes: [5])])
    #expect(
      record.nodes[0].attributes["a"] == .unknown([FieldRecord(number: 31, wireType: 2, bytes: [1, 0x7a])]))
    #expect(record.otherFields == [FieldRecord(number: 9, wireType: 5, bytes: [1, 2, 3, 4])])
    #expect(try record.encoded() == bytes)
  }

  @Test func sortsAttributesOnWriting() throws {
    let names = ["b", "a", "C", "T"]
    let node = NodeRecord(name: "n", op: "Op", attributes: names.map { NamedAttribute($0, .int(1)) })
    let written = try GraphDefRecord(bytes: try GraphDefRecord(nodes: [node]).encoded())
    #expect(written.nodes[0].attributes.map(\.name) == ["C", "T", "a", "b"])
  }

  @Test func refusesNamesWithNUL() {
    let record = GraphDefRecord(nodes: [NodeRecord(name: "a\0b", op: "NoOp")])
    #expect(throws: Diagnostic.self) { try record.encoded() }
  }
}
