import MartletDiagnostics
import MartletTensors
import Testing

@testable import MartletFormats

@Suite struct IDXTests {
  static let arrays: [([UInt8], Tensor)] = [
    (
      [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255], Tensor([1, 2, 3, 4, 5, 255] as [UInt8], shape: [2, 3])
    ),
    ([0, 0, 9, 1, 0, 0, 0, 3, 0x7f, 0x80, 0xff], Tensor([127, -128, -1] as [Int32])),
    ([0, 0, 0x0b, 1, 0, 0, 0, 3, 0x7f, 0xff, 0x80, 0, 0, 1], Tensor([32767, -32768, 1] as [Int32])),
    ([0, 0, 0x0c, 1, 0, 0, 0, 2, 0x80, 0, 0, 0, 0, 0, 1, 2], Tensor([.min, 258] as [Int32])),
    ([0, 0, 0x0d, 1, 0, 0, 0, 1, 0x3f, 0xc0, 0, 0], Tensor([1.5] as [Float])),
    ([0, 0, 0x0e, 1, 0, 0, 0, 1, 0xc0, 0x04, 0, 0, 0, 0, 0, 0], Tensor([-2.5])),
    ([0, 0, 8, 0, 7], Tensor(7 as UInt8)),
    ([0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 9], Tensor([] as [UInt8], shape: [0, 9])),
  ]

  @Test(arguments: arrays.indices) func reads(_ index: Int) throws {
    let (bytes, expected) = Self.arrays[index]
    #expect(try IDX.read(bytes: bytes) == expected)
  }

  /// The first of the arrays above, as gzip 1.12 compresses it.
  static let compressed: [UInt8] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x63, 0x60, 0xe0, 0x60, 0x62, 0x60, 0x60, 0x00, 0x61,
    0x66, 0x46, 0x26, 0x66, 0x16, 0xd6, 0xff, 0x00, 0xf0, 0xde, 0x5f, 0x21, 0x12, 0x00, 0x00, 0x00,
  ]

  @Test func readsGzip() throws {
    #expect(try IDX.read(bytes: Self.compressed) == Self.arrays[0].1)
  }

  static let faults: [(String, [UInt8], String)] = [
    ("empty", [], "f: offset 0: magic: this is not an IDX file"),
    ("magic", [1, 0, 8, 1], "f: offset 0: magic: this is not an IDX file"),
    ("type", [0, 0, 7, 1], "f: offset 2: type: 7 is not the number of an element type"),
    ("dimensions", [0, 0, 8, 2, 0, 0, 0, 1], "f: offset 4: dimensions: the file ends before its 2 dimensions do"),
    (
      "oversized", [0, 0, 8, 1, 0xff, 0xff, 0xff, 0xff, 1],
      "f: offset 4: dimensions: the file is too small for an array of shape [4294967295]"
    ),
    (
      "overflow", [0, 0, 0x0e, 2] + Array(repeating: 0xff, count: 8),
      "f: offset 4: dimensions: the file is too small for an array of shape [4294967295, 4294967295]"
    ),
    (
      "short by one", [0, 0, 8, 1, 0, 0, 0, 2, 1],
      "f: offset 4: dimensions: the file is too small for an array of shape [2]"
    ),
    ("rest", [0, 0, 8, 1, 0, 0, 0, 1, 1, 2], "f: offset 9: data: something follows the last element"),
  ]

  @Test(arguments: faults.indices) func namesOffsetAndField(_ index: Int) {
    let (name, bytes, message) = Self.faults[index]
    let error = #expect(throws: Diagnostic.self, "\(name)") { try IDX.read(bytes: bytes, name: "f") }
    #expect(error?.message == message)
  }

  @Test func refusesBrokenGzip() {
    for count in 2..<Self.compressed.count {
      #expect(throws: Diagnostic.self) { try IDX.read(bytes: Array(Self.compressed.prefix(count))) }
    }
  }
}
