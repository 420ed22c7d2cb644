import CMartletRuntime
import Testing

@Suite(.enabled(if: martlet_zlib_available() == 1, "zlib is not installed"))
struct InflaterTests {
  /// "abc" four times, as Python's gzip module compresses it.
  static let compressed: [UInt8] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 75, 76, 74, 78, 132, 33, 0, 52, 42, 110, 90, 12, 0, 0, 0,
  ]
  static let plain = Array("abcabcabcabc".utf8)

  /// What comes out when `pieces` bytes are asked for at a time; NULL and the reason if the input is broken.
  static func inflate(_ input: [UInt8], pieces: Int, limit: Int = 1 << 20) -> (bytes: [UInt8], error: String?) {
    input.withUnsafeBufferPointer { input in
      var message = [CChar](repeating: 0, count: 256)
      let inflater = martlet_inflater_open(input.baseAddress, Int64(input.count), &message, message.count)!
      defer { martlet_inflater_close(inflater) }
      var bytes: [UInt8] = []
      while bytes.count < limit {
        var piece = [UInt8](repeating: 0, count: pieces)
        let count = martlet_inflater_read(inflater, &piece, Int64(pieces))
        if count < 0 { return (bytes, String(cString: martlet_inflater_error(inflater))) }
        bytes += piece.prefix(Int(count))
        if count < pieces { break }
      }
      return (bytes, nil)
    }
  }

  @Test(arguments: [1, 5, 12, 13, 100]) func piecesOfAnySize(pieces: Int) {
    #expect(Self.inflate(Self.compressed, pieces: pieces) == (Self.plain, nil))
  }

  @Test func membersFollowEachOtherAndPaddingIsIgnored() {
    #expect(Self.inflate(Self.compressed + Self.compressed, pieces: 7) == (Self.plain + Self.plain, nil))
    #expect(Self.inflate(Self.compressed + [0, 0, 0, 0], pieces: 7) == (Self.plain, nil))
  }

  @Test func everyTruncationIsAnError() {
    for length in 0..<Self.compressed.count {
      let (bytes, error) = Self.inflate(Array(Self.compressed.prefix(length)), pieces: 64)
      #expect(error == "the compressed data ends too early", "at \(length)")
      #expect(bytes.isEmpty)
    }
  }

  @Test func everyFlippedBitIsAnErrorOrHarmless() {
    for position in 0..<Self.compressed.count * 8 {
      var input = Self.compressed
      input[position / 8] ^= 1 << (position % 8)
      let (bytes, error) = Self.inflate(input, pieces: 64, limit: 4096)
      // The header's time and system, and the last bits of padding, may change without notice.
      if error == nil { #expect(bytes == Self.plain, "bit \(position)") }
    }
  }

  @Test func whatIsNotCompressedIsAnError() {
    #expect(Self.inflate(Array("hello, hello".utf8), pieces: 10).error == "incorrect header check")
  }
}
