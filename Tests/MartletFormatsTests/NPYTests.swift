import Foundation
import MartletDiagnostics
import MartletTensors
import Testing

@testable import MartletFormats

/// The fixtures were written by NumPy; `Tests/Fixtures/NPY/generate.py` says what is in them.
@Suite struct NPYTests {
  static let arrays: [(String, Tensor)] = [
    ("f4", Tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5] as [Float], shape: [2, 3])),
    ("f4_v2", Tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5] as [Float], shape: [2, 3])),
    ("f4_v3", Tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5] as [Float], shape: [2, 3])),
    ("f8_big", Tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5] as [Double], shape: [2, 3])),
    ("f2", Tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5] as [Float16], shape: [2, 3])),
    ("f2_big", Tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5] as [Float16], shape: [2, 3])),
    ("bf16", Tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5] as [BFloat16], shape: [2, 3])),
    ("i4_big_fortran", Tensor([-2, -1, 0, 1, 2, 3] as [Int32], shape: [2, 3])),
    ("i8", Tensor([-2 << 40, -1 << 40, 0, 1 << 40, 2 << 40, 3 << 40] as [Int64], shape: [2, 3])),
    ("u1", Tensor([250, 251, 252, 253, 254, 255] as [UInt8], shape: [2, 3])),
    ("b1", Tensor([false, true, false, true, false, true], shape: [2, 3])),
    ("scalar", Tensor(1.5 as Float)), ("vector", Tensor([1, 2, 3] as [Int32])),
    ("empty", Tensor([] as [Double], shape: [0, 3])),
    ("fortran3", Tensor(Array(0..<24) as [Int32], shape: [2, 3, 4])),
  ]

  @Test(arguments: arrays.indices) func reads(_ index: Int) throws {
    let (name, expected) = Self.arrays[index]
    #expect(try NPY.read(Fixture.path("NPY/\(name).npy")) == expected)
  }

  @Test(arguments: arrays.indices) func writes(_ index: Int) throws {
    let tensor = Self.arrays[index].1
    try Fixture.withTemporaryFolder { folder in
      try NPY.write(tensor, to: folder + "/a.npy")
      #expect(try NPY.read(folder + "/a.npy") == tensor)
    }
  }

  @Test func writesTheFormat() throws {
    try Fixture.withTemporaryFolder { folder in
      try NPY.write(Tensor([1] as [Float]), to: folder + "/a.npy")
      let bytes = Array(try Data(contentsOf: URL(filePath: folder + "/a.npy")))
      #expect(bytes.prefix(10) == [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, 118, 0])
      let header = String(decoding: bytes[10..<128], as: UTF8.self)
      #expect(header.hasPrefix("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } "))
      #expect(header.hasSuffix(" \n"))
      #expect(bytes.suffix(from: 128) == [0, 0, 0x80, 0x3f])
    }
  }

  @Test(arguments: ["i2", "structured"]) func refusesOtherTypes(_ name: String) {
    let error = #expect(throws: Diagnostic.self) { try NPY.read(Fixture.path("NPY/\(name).npy")) }
    #expect(error?.message.contains("header 'descr'") == true)
  }

  /// An npy file of version 1.0.
  private static func file(_ header: String, _ data: [UInt8] = []) -> [UInt8] {
    [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.utf8.count & 0xff), UInt8(header.utf8.count >> 8)]
      + Array(header.utf8) + data
  }

  static let faults: [(String, [UInt8], String)] = [
    ("empty", [], "f: offset 0: magic: this is not an npy file"),
    (
      "version", Array(file("").prefix(6)) + [4, 0, 0, 0],
      "f: offset 6: version: version 4.0 of the format is not known"
    ),
    ("length", Array(file("").prefix(8)), "f: offset 8: header length: the file ends here"),
    (
      "header cut off", Array(file("").prefix(8)) + [9, 0, 0x7b],
      "f: offset 8: header length: 9 exceeds the 1 bytes that are left"
    ),
    ("not a dictionary", file("[]"), "f: offset 10: header: '{' belongs here"),
    ("key", file("{'dtype': '<f4'}"), "f: offset 11: header 'dtype': the key is not known or appears twice"),
    (
      "twice", file("{'descr': '<f4', 'descr': '<f4'}"),
      "f: offset 27: header 'descr': the key is not known or appears twice"
    ),
    ("missing", file("{'descr': '<f4'}"), "f: offset 26: header: 'descr', 'fortran_order' or 'shape' is missing"),
    ("open string", file("{'descr"), "f: offset 12: header: the string is not closed"),
    ("truth", file("{'fortran_order': 0}"), "f: offset 28: header 'fortran_order': True or False belongs here"),
    ("parentheses", file("{'shape': (3)}"), "f: offset 22: header 'shape': a comma belongs here"),
    ("negative", file("{'shape': (-3,)}"), "f: offset 21: header 'shape': a whole number belongs here"),
    (
      "huge extent", file("{'shape': (99999999999999999999,)}"),
      "f: offset 21: header 'shape': the extent does not fit in 64 bits"
    ),
    (
      "rank", file("{'shape': (" + String(repeating: "1,", count: 65) + ")}"),
      "f: offset 149: header 'shape': there are more than 64 dimensions"
    ),
    ("rest", file("{} {}"), "f: offset 13: header: something follows the dictionary"),
    (
      "overflow", file("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }"),
      "f: offset 87: data: 0 bytes are not an array of float32 with shape [4294967296, 4294967296]"
    ),
    (
      "more than there is", file("{'descr': '|u1', 'fortran_order': True, 'shape': (3,)}", [1, 2]),
      "f: offset 64: data: 2 bytes are not an array of uint8 with shape [3]"
    ),
  ]

  @Test(arguments: faults.indices) func namesOffsetAndField(_ index: Int) {
    let (name, bytes, message) = Self.faults[index]
    let error = #expect(throws: Diagnostic.self, "\(name)") { try NPY.read(bytes: bytes, name: "f") }
    #expect(error?.message == message)
  }
}
