import MartletDiagnostics
import MartletTensors
import Testing

@testable import MartletFormats

/// What is said about files that are not what they should be.
@Suite struct GraphDefFaultTests {
  struct Fault: CustomTestStringConvertible, Sendable {
    let name: String
    let bytes: [UInt8]
    let message: String
    var testDescription: String { name }
  }

  static let binaryFaults = [
    Fault(
      name: "cut off", bytes: [0x0a, 5, 0x0a, 3, 0x61],
      message: "f: offset 1: node[0]: the length 5 exceeds the 3 bytes that are left"),
    Fault(
      name: "oversized length", bytes: [0x0a, 6, 0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
      message: "f: offset 3: node[0].name: the length 4294967295 exceeds the 0 bytes that are left"),
    Fault(
      name: "endless varint", bytes: [0x18] + Array(repeating: 0xff, count: 11),
      message: "f: offset 0: version: the number is cut off or too long"),
    Fault(
      name: "field zero", bytes: [0x00, 0x01], message: "f: offset 0: GraphDef: 0 is not the number of a field"),
    Fault(
      name: "group", bytes: [0x0b, 0x0c], message: "f: offset 0: GraphDef: wire type 3 of field 1 is not supported"),
    Fault(
      name: "wrong wire type of a node", bytes: [0x08, 0x01],
      message: "f: offset 0: GraphDef: field 1 is laid out as varint"),
    Fault(
      name: "wrong wire type in a node", bytes: [0x0a, 2, 0x08, 0x01],
      message: "f: offset 3: node[0].name: the value is laid out as varint, not lengthDelimited"),
    Fault(
      name: "not UTF-8", bytes: [0x0a, 0, 0x0a, 4, 0x12, 2, 0x61, 0xff],
      message: "f: offset 6: node[1].op: the string is not UTF-8, or has a NUL in it"),
    Fault(
      name: "NUL", bytes: [0x0a, 3, 0x0a, 1, 0],
      message: "f: offset 4: node[0].name: the string is not UTF-8, or has a NUL in it"),
    Fault(
      name: "nested", bytes: [0x0a, 6, 0x2a, 4, 0x12, 2, 0x42, 1],
      message: "f: offset 7: node[0].attr.value.tensor: the length 1 exceeds the 0 bytes that are left"),
    Fault(
      name: "packed floats", bytes: [0x0a, 11, 0x2a, 9, 0x12, 7, 0x42, 5, 0x2a, 3, 0, 0, 0],
      message: "f: offset 10: node[0].attr.value.tensor.float_val: 3 bytes do not hold whole numbers of 4 bytes"),
    Fault(
      name: "function", bytes: [0x12, 4, 0x0a, 2, 0x0a, 9],
      message: "f: offset 5: library.function[0].signature: the length 9 exceeds the 0 bytes that are left"),
  ]

  @Test(arguments: binaryFaults) func namesOffsetAndField(_ fault: Fault) {
    let error = #expect(throws: Diagnostic.self) {
      try GraphDefRecord(bytes: fault.bytes, format: .binary, name: "f")
    }
    #expect(error?.message == fault.message)
  }

  static let textFaults = [
    Fault(name: "field", bytes: Array("node {\n  nam: 'x'\n}".utf8), message: "f:2:3: NodeDef has no field 'nam'"),
    Fault(
      name: "colon", bytes: Array("node { name 'x' }".utf8),
      message: "f:1:13: a colon belongs between 'name' and its value"),
    Fault(name: "brace", bytes: Array("node { name: 'x'".utf8), message: "f:1:17: the message 'node' is not closed"),
    Fault(name: "extra brace", bytes: Array("}".utf8), message: "f:1:1: the name of a field belongs here"),
    Fault(
      name: "wrong bracket", bytes: Array("node < >\nnode { >".utf8), message: "f:2:8: the name of a field belongs here"
    ),
    Fault(name: "quote", bytes: Array("node { name: \"x\n\" }".utf8), message: "f:1:14: the string is not closed"),
    Fault(name: "escape", bytes: Array(#"node { name: "\q" }"#.utf8), message: "f:1:15: this escape is not known"),
    Fault(
      name: "NUL", bytes: Array(#"node { name: "\0" }"#.utf8),
      message: "f:1:14: 'name' is not UTF-8, or has a NUL in it"),
    Fault(
      name: "twice", bytes: Array("node { name: 'x' name: 'y' }".utf8),
      message: "f:1:18: 'name' cannot be set after 'name'"),
    Fault(
      name: "oneof", bytes: Array("node { attr { key: 'k' value { i: 1 f: 2 } } }".utf8),
      message: "f:1:37: 'f' cannot be set after 'i'"),
    Fault(
      name: "range", bytes: Array("version: 2147483648".utf8), message: "f:1:10: the number does not fit in 32 bits"),
    Fault(name: "whole", bytes: Array("version: 1.5".utf8), message: "f:1:10: a whole number belongs here"),
    Fault(
      name: "enum", bytes: Array("node { attr { value { type: DT_FLOUT } } }".utf8),
      message: "f:1:29: 'DT_FLOUT' is not a value of 'type'"),
    Fault(
      name: "bool", bytes: Array("node { attr { value { b: yes } } }".utf8),
      message: "f:1:26: 'true' or 'false' belongs here"),
    Fault(name: "Any", bytes: Array("[a.b/c] { }".utf8), message: "f:1:1: extensions and Any are not supported"),
    Fault(
      name: "list", bytes: Array("node { input: ['a' 'b' 3] }".utf8), message: "f:1:24: a comma or ']' belongs here"),
  ]

  @Test(arguments: textFaults) func namesLineAndColumn(_ fault: Fault) {
    let error = #expect(throws: Diagnostic.self) { try GraphDefRecord(bytes: fault.bytes, format: .text, name: "f") }
    #expect(error?.message == fault.message)
  }

  /// A node whose attribute is a function with an attribute that is a function, and so on: three messages a level.
  private func nested(_ levels: Int) -> AttributeRecord {
    (0..<levels).reduce(.int(1)) { value, _ in
      .function(FunctionReference(name: "f", attributes: [NamedAttribute("a", value)]))
    }
  }

  @Test func boundsNesting() throws {
    func record(_ levels: Int) -> GraphDefRecord {
      GraphDefRecord(nodes: [NodeRecord(name: "n", op: "Op", attributes: [NamedAttribute("a", nested(levels))])])
    }
    let deep = record(30)
    #expect(try GraphDefRecord(bytes: try deep.encoded()) == deep)
    #expect(try GraphDefRecord(text: try deep.text()) == deep)
    #expect(throws: Diagnostic.self) { try record(40).encoded() }

    // Bytes that no writer of ours gives: attr { value { func { attr { value … thirty thousand times.
    var bytes: [UInt8] = []
    for level in 0..<30_000 {
      let tag: UInt8 = [0x12, 0x52, 0x12][level % 3]
      bytes = Self.lengthPrefixed(tag, count: bytes.count) + bytes
      if bytes.count > 60_000 { break }
    }
    let message = Self.lengthPrefixed(0x0a, count: bytes.count) + bytes
    #expect(throws: Diagnostic.self) { try GraphDefRecord(bytes: message, format: .binary) }
    let text = "node { attr { value { " + String(repeating: "func { attr { value { ", count: 10_000)
    let error = #expect(throws: Diagnostic.self) { try GraphDefRecord(text: text) }
    #expect(error?.message.hasSuffix("messages nest deeper than 100 levels") == true)
  }

  private static func lengthPrefixed(_ tag: UInt8, count: Int) -> [UInt8] {
    var bytes = [tag]
    var rest = count
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  @Test func boundsMemory() throws {
    // Empty tensors in a list take two bytes each, and some three hundred when unpacked.
    let tensors = Array(repeating: [0x42, 0] as [UInt8], count: 100_000).flatMap { $0 }
    let list = Self.lengthPrefixed(0x0a, count: tensors.count) + tensors
    let value = Self.lengthPrefixed(0x12, count: list.count) + list
    let entry = Self.lengthPrefixed(0x2a, count: value.count) + value
    let bytes = Self.lengthPrefixed(0x0a, count: entry.count) + entry
    let arena = MessageArena()
    let error = #expect(throws: Diagnostic.self) {
      try bytes.withUnsafeBytes { _ = try GraphDefRecord($0, format: .binary, name: "f", arena: arena) }
    }
    #expect(error?.message.contains("would take more than") == true)
    #expect(arena.peakByteCount <= 64 * bytes.count + 65536)
  }

  @Test func refusesTensorsThatDoNotFit() {
    func record(_ type: Int32, _ shape: ShapeRecord, _ values: TensorRecord.Values) -> TensorRecord {
      TensorRecord(type: type, shape: shape, values: values)
    }
    let wrong = [
      record(1, ShapeRecord([2]), .content([0, 0, 0, 0])),
      record(1, ShapeRecord([2]), .floats([1, 2, 3])),
      record(1, ShapeRecord([2]), .ints([1])),
      record(1, .unknown, .none),
      record(1, ShapeRecord(dimensions: [.init(size: -1)]), .none),
      record(1, ShapeRecord([1 << 40, 1 << 40]), .none),
      record(3, ShapeRecord([1 << 20, 1 << 20]), .ints([1])),
      record(7, ShapeRecord([]), .none),
      record(99, ShapeRecord([]), .none),
    ]
    for tensor in wrong {
      #expect(throws: Diagnostic.self) { try tensor.tensor() }
    }
  }
}
