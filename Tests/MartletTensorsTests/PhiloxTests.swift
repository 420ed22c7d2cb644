import MartletTensors
import Testing

@Suite struct PhiloxTests {
  struct Vector: Sendable {
    var counter: [UInt32]
    var key: [UInt32]
    var expected: [UInt32]
  }

  /// The known answers for `philox4x32 10` in the file `kat_vectors` of the authors' Random123 library.
  static let vectors = [
    Vector(
      counter: [0, 0, 0, 0], key: [0, 0], expected: [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]),
    Vector(
      counter: [.max, .max, .max, .max], key: [.max, .max],
      expected: [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]),
    Vector(
      counter: [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344], key: [0xA409_3822, 0x299F_31D0],
      expected: [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1]),
  ]

  @Test(arguments: vectors) func knownAnswers(vector: Vector) {
    let c = vector.counter
    let block = Philox.block(counter: (c[0], c[1], c[2], c[3]), key: (vector.key[0], vector.key[1]))
    #expect([block.0, block.1, block.2, block.3] == vector.expected)
  }
}
