import Martlet
import Testing

@testable import MartletWorkloads

/// Expected values come from NumPy 2.4.6; the comment at each says how.
@Suite struct RandomArraysTests {
  /// `np.random.SeedSequence(seed).generate_state(3, np.uint64)`
  @Test(
    arguments: [
      (0, [0xdb2c_d7e7_b0f4_78be, 0xabf4_641a_2c71_ba49, 0x20c6_ed6d_9d7b_8d41]),
      ((1 << 40) + 5, [0xdae4_1755_e08a_170b, 0x8415_abe8_7ecd_cb2c, 0x2525_c5b4_4b91_18d0]),
    ] as [(UInt64, [UInt64])])
  func seedSequence(_ seed: UInt64, _ expected: [UInt64]) {
    #expect(SeedSequence(seed).state(count: 3) == expected)
  }

  /// `np.random.PCG64(seed).random_raw(4)`
  @Test(
    arguments: [
      (0, [0xa30f_ebcf_d9c2_825f, 0x4510_bdf8_82d9_d721, 0x0a7d_3da9_4ecd_e8b8, 0x043b_27b6_1342_f01d]),
      (1, [0x8306_bdf3_7922_e4ff, 0xf351_96bb_c152_a866, 0x24e7_a4f6_08ec_18cd, 0xf2da_b0ae_d2ac_6fd2]),
      ((1 << 40) + 5, [0x0136_9aef_039f_edeb, 0x5f61_b404_7331_4316, 0x9654_aaee_ea6e_be77, 0x26c2_209b_e641_7518]),
    ] as [(UInt64, [UInt64])])
  func words(_ seed: UInt64, _ expected: [UInt64]) {
    var generator = PCG64(seed: seed)
    #expect((0..<4).map { _ in generator.nextWord() } == expected)
  }

  /// Draws of different kinds share one stream: `g = Generator(PCG64(7))`, then `standard_normal(5, float32)`,
  /// `integers(0, 10, 4, int32)`, `random(3, float32)`, `standard_normal(2, float32)`. The odd number of draws leaves half
  /// a word behind each time.
  @Test func mixedDraws() {
    var g = RandomArrays(seed: 7)
    #expect(bits(g.normal([5])) == [0x3fc2_cfe4, 0xbf92_720f, 0x3f93_387f, 0xbfe4_6f84, 0xbf45_80f1])
    #expect(g.integers(below: 10, [4]).scalars(as: Int32.self) == [7, 8, 2, 0])
    #expect(bits(g.uniform([3])) == [0x3e99_af64, 0x3e91_f44e, 0x3f5f_a132])
    #expect(bits(g.normal([2])) == [0x3fa6_caf8, 0xbb98_47a9])
  }

  /// `zlib.crc32` of `standard_normal(1 << 20, float32)` from seed 3: all layers, their edges, and 261 draws from the tail.
  @Test func normalArray() {
    var g = RandomArrays(seed: 3)
    #expect(checksum(g.normal([1 << 20])) == 0x8e45_414f)
  }

  /// `zlib.crc32` of `standard_normal((784, 512), float32) * float32((2/784)**.5) + float32(0)` from seed 6.
  @Test func scaledArray() {
    var g = RandomArrays(seed: 6)
    #expect(checksum(g.normal([784, 512], deviation: (2.0 / 784).squareRoot())) == 0x1d4e_925f)
  }

  /// `zlib.crc32` of `random(100000, float32)` from seed 9.
  @Test func uniformArray() {
    var g = RandomArrays(seed: 9)
    #expect(checksum(g.uniform([100_000])) == 0x7f36_d3cf)
  }

  /// `zlib.crc32` of `integers(0, bound, 100000, int32)` from seed 12; the larger bound makes rejections frequent.
  @Test(arguments: [(30_522, 0x7a29_66af), (852_516_352, 0x4585_0e76)] as [(Int32, UInt32)])
  func integerArray(_ bound: Int32, _ expected: UInt32) {
    var g = RandomArrays(seed: 12)
    #expect(checksum(g.integers(below: bound, [100_000])) == expected)
  }

  private func bits(_ tensor: Tensor) -> [UInt32] { tensor.scalars(as: Float.self).map(\.bitPattern) }

  /// CRC-32 as in zlib: the reflected polynomial 0xEDB88320.
  private func checksum(_ tensor: Tensor) -> UInt32 {
    let table = (0..<256 as Range<UInt32>).map { byte in
      (0..<8).reduce(byte) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
    return tensor.withUnsafeBytes { bytes in
      ~bytes.reduce(~0 as UInt32) { crc, byte in table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] ^ crc >> 8 }
    }
  }
}
