import MartletTensors
import Testing

@testable import MartletFormats

/// The spellings that protobuf's text format allows, beside the one that is printed.
@Suite struct TextFormatTests {
  private func value(_ text: String) throws -> AttributeRecord? {
    try GraphDefRecord(text: "node { attr { key: 'k' value { \(text) } } }").nodes[0].attributes["k"]
  }

  static let spellings: [(String, AttributeRecord)] = [
    ("i: 0x1F", .int(31)), ("i: -0XfF", .int(-255)), ("i: 017", .int(15)), ("i: - 5", .int(-5)), ("i: 0", .int(0)),
    ("i: 9223372036854775807", .int(.max)), ("i: -9223372036854775808", .int(.min)),
    ("f: 1", .float(1)), ("f: .5", .float(0.5)), ("f: 1.", .float(1)), ("f: 1.5f", .float(1.5)),
    ("f: 1E+2", .float(100)), ("f: 1e39", .float(.infinity)), ("f: Infinity", .float(.infinity)),
    ("f: -inf", .float(-.infinity)), ("f: NaN", .float(.nan)), ("f: -0", .float(-0.0)),
    ("f: 0.1", .float(Float(bitPattern: 0x3dcc_cccd))), ("f: 1e-45", .float(.leastNonzeroMagnitude)),
    ("b: True", .bool(true)), ("b: f", .bool(false)), ("b: 1", .bool(true)),
    ("type: DT_INT64", .type(9)), ("type: 9", .type(9)), ("type: 77", .type(77)), ("type: -1", .type(-1)),
    ("s: 'it' \"'s\" # a comment\n ' one'", .string("it's one")),
    (#"s: "\x41\102\u00e9\U0001F600\?\a\b\f\v\'""#, .string("AB\u{e9}\u{1F600}?\u{7}\u{8}\u{c}\u{b}'")),
    (#"s: '\377\1019'"#, .bytes([0xff, 0x41, 0x39])),
    ("list { i: [1, 2] i: 3; i: [] }", .list(ListRecord(ints: [1, 2, 3]))),
    ("list: < type: [DT_FLOAT, 3], >", .list(ListRecord(types: [1, 3]))),
    (
      "shape { dim: [{ size: 2 }, < size: -1 >], dim { size: 5 } }",
      .shape(
        ShapeRecord(dimensions: [
          .init(size: 2), .init(size: -1), .init(size: 5),
        ]))
    ),
    ("shape {} # the end", .shape(ShapeRecord([]))),
  ]

  @Test(arguments: spellings.indices) func reads(_ index: Int) throws {
    let (text, expected) = Self.spellings[index]
    #expect(try value(text + "\n") == expected)
  }

  @Test func readsNothing() throws {
    #expect(try GraphDefRecord(text: " # only a comment") == GraphDefRecord())
    #expect(try GraphDefRecord(bytes: []) == GraphDefRecord())
  }

  @Test func recognizesTheForm() {
    func format(_ bytes: [UInt8]) -> GraphDefFormat { bytes.withUnsafeBytes { GraphDefFormat(recognizing: $0) } }
    #expect(format(Array("# graph\r\n\tnode { name: 'é' }".utf8)) == .text)
    #expect(format([0x0a, 3, 0x0a, 1, 0x6e]) == .binary)
    #expect(format([0x22, 2, 0x08, 5]) == .binary)
    #expect(format([]) == .binary)
  }

  @Test(arguments: [0.1, .leastNonzeroMagnitude, 3.4028235e38, 16777216, 1e16, -0.0, .infinity] as [Float])
  func printsFloatsExactly(_ value: Float) throws {
    let node = NodeRecord(name: "n", op: "Op", attributes: [NamedAttribute("k", .float(value))])
    let record = GraphDefRecord(nodes: [node])
    #expect(try GraphDefRecord(text: record.text()) == record)
  }

  @Test func printsEveryByte() throws {
    let node = NodeRecord(name: "n", op: "Op", attributes: [NamedAttribute("k", .bytes(Array(0...255)))])
    let record = GraphDefRecord(nodes: [node])
    let text = try record.text()
    #expect(text.allSatisfy { $0.isASCII && ($0 >= " " || $0 == "\n") })
    #expect(try GraphDefRecord(text: text) == record)
  }
}
