import MartletDiagnostics

/// A file of the code cache: an object file, or a module for a GPU, with the structures or sources of the kernels in it and
/// what their code depends on beside them, all of which a reader compares, so that no collision of names can give wrong code.
package struct CodeFile {
  /// What code depends on beside the kernels' structure: compiler, options, processor.
  package var context: String
  /// The structures of the object's kernels, in order.
  package var kernels: [[UInt8]]
  package var object: [UInt8]

  package init(context: String, kernels: [[UInt8]], object: [UInt8]) {
    (self.context, self.kernels, self.object) = (context, kernels, object)
  }

  /// The file's bytes: a magic number with the version, the body's length and check sum, the body.
  package var bytes: [UInt8] {
    var body: [UInt8] = []
    func append(_ part: some Collection<UInt8>) {
      withUnsafeBytes(of: UInt64(part.count).littleEndian) { body += $0 }
      body += part
    }
    append(Array(context.utf8))
    append(object)
    for kernel in kernels { append(kernel) }
    var bytes = Self.magic
    let sum = Self.checkSum(body)
    for word in [UInt64(body.count), sum.0, sum.1] { withUnsafeBytes(of: word.littleEndian) { bytes += $0 } }
    return bytes + body
  }

  /// The content of a file; nil if it is damaged or of another version.
  package init?(_ bytes: [UInt8]) {
    guard bytes.count >= Self.headerBytes, bytes.starts(with: Self.magic) else { return nil }
    func word(_ offset: Int) -> UInt64 {
      bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
    }
    let body = bytes[Self.headerBytes...]
    guard word(8) == UInt64(body.count), (word(16), word(24)) == Self.checkSum(body) else { return nil }
    var position = body.startIndex
    func next() -> ArraySlice<UInt8>? {
      guard body.endIndex - position >= 8 else { return nil }
      let count = word(position)
      position += 8
      guard count <= UInt64(body.endIndex - position) else { return nil }
      defer { position += Int(count) }
      return body[position..<position + Int(count)]
    }
    guard let context = next(), let object = next() else { return nil }
    self.init(context: String(decoding: context, as: UTF8.self), kernels: [], object: Array(object))
    while position < body.endIndex {
      guard let kernel = next() else { return nil }
      kernels.append(Array(kernel))
    }
  }

  /// "MARTLET" and the version of the format.
  private static let magic: [UInt8] = Array("MARTLET\u{1}".utf8)
  private static let headerBytes = 32

  /// 128 bits over words of eight bytes: each step can be undone, so that a change within one word always shows.
  private static func checkSum(_ bytes: some Collection<UInt8>) -> (UInt64, UInt64) {
    var sum: (UInt64, UInt64) = (0xCBF2_9CE4_8422_2325, 0x8422_2325_CBF2_9CE4)
    func add(_ word: UInt64) {
      sum.0 = (sum.0 ^ word) &* 0x0000_0100_0000_01B3
      sum.0 ^= sum.0 >> 32
      sum.1 = (sum.1 ^ word) &* 0x9E37_79B9_7F4A_7C15
      sum.1 ^= sum.1 >> 29
    }
    _ = bytes.withContiguousStorageIfAvailable { bytes in
      let raw = UnsafeRawBufferPointer(bytes)
      let whole = raw.count & ~7
      for offset in stride(from: 0, to: whole, by: 8) {
        add(UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
      }
      var rest: UInt64 = 0
      for byte in raw[whole...].reversed() { rest = rest << 8 | UInt64(byte) }
      add(rest)
    }
    add(UInt64(bytes.count))
    return sum
  }
}
