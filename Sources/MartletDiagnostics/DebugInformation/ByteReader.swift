/// A fault in an object file or its debug information: it is cut off, or uses a form that is not known here.
struct DebugInformationFault: Error {}

/// A cursor over little-endian bytes; reading beyond the end throws.
struct ByteReader {
  let bytes: [UInt8]
  private(set) var offset: Int
  private let end: Int

  /// Reads `bytes` from `offset` to `end`, or to the end of the array.
  init(_ bytes: [UInt8], at offset: Int = 0, end: Int? = nil) throws(DebugInformationFault) {
    self.bytes = bytes
    self.offset = offset
    self.end = end ?? bytes.count
    guard 0 <= offset, offset <= self.end, self.end <= bytes.count else { throw DebugInformationFault() }
  }

  var isAtEnd: Bool { offset == end }

  mutating func skip(_ count: Int) throws(DebugInformationFault) { offset = try position(after: count) }

  /// The position this many bytes further on, which must not lie beyond the end.
  func position(after count: Int) throws(DebugInformationFault) -> Int {
    guard count >= 0, count <= end - offset else { throw DebugInformationFault() }
    return offset + count
  }

  mutating func seek(_ position: Int) throws(DebugInformationFault) {
    guard 0 <= position, position <= end else { throw DebugInformationFault() }
    offset = position
  }

  /// An unsigned number of `width` bytes, at most 8.
  mutating func unsigned(_ width: Int) throws(DebugInformationFault) -> UInt64 {
    let start = offset
    try skip(width)
    var value: UInt64 = 0
    for i in 0..<width { value |= UInt64(bytes[start + i]) << UInt64(8 * i) }
    return value
  }

  mutating func byte() throws(DebugInformationFault) -> UInt8 {
    guard offset < end else { throw DebugInformationFault() }
    defer { offset += 1 }
    return bytes[offset]
  }

  /// An unsigned number of `width` bytes that must fit in `Int`.
  mutating func int(_ width: Int) throws(DebugInformationFault) -> Int {
    try Self.int(unsigned(width))
  }

  /// An unsigned number in LEB128 form.
  mutating func unsignedLEB() throws(DebugInformationFault) -> UInt64 {
    var (value, shift): (UInt64, UInt64) = (0, 0)
    while true {
      let next = try byte()
      if shift < 64 { value |= UInt64(next & 0x7F) << shift }
      if next & 0x80 == 0 { return value }
      shift += 7
    }
  }

  /// A signed number in LEB128 form.
  mutating func signedLEB() throws(DebugInformationFault) -> Int64 {
    var (value, shift): (Int64, Int64) = (0, 0)
    while true {
      let next = try byte()
      if shift < 64 { value |= Int64(next & 0x7F) << shift }
      shift += 7
      if next & 0x80 == 0 {
        if shift < 64, next & 0x40 != 0 { value |= -1 << shift }
        return value
      }
    }
  }

  /// An unsigned number in LEB128 form that must fit in `Int`.
  mutating func intLEB() throws(DebugInformationFault) -> Int { try Self.int(unsignedLEB()) }

  /// A string that a zero byte ends.
  mutating func string() throws(DebugInformationFault) -> String {
    let start = offset
    while try byte() != 0 {}
    return String(decoding: bytes[start..<offset - 1], as: UTF8.self)
  }

  private static func int(_ value: UInt64) throws(DebugInformationFault) -> Int {
    guard let result = Int(exactly: value) else { throw DebugInformationFault() }
    return result
  }
}
