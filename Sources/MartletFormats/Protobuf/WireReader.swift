import CMartletProtos

/// Reads the pieces of a protobuf message one after the other. What is malformed reads as nil, or throws a
/// ``WireReader/Fault``; nothing is ever read past the end.
struct WireReader {
  /// A tag: which field follows, and how its value is laid out.
  struct Tag {
    let number: UInt32
    let wireType: WireType
  }

  /// What is wrong with the bytes, and where.
  struct Fault: Error {
    let offset: Int
    let problem: String
  }

  private let base: UnsafeRawPointer
  private(set) var offset: Int
  let end: Int

  /// A reader of some of the bytes of a buffer. Offsets count from the start of the buffer.
  init(_ bytes: UnsafeRawBufferPointer, from start: Int = 0, to end: Int? = nil) {
    // An empty buffer may have no address; none is ever read then.
    base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!
    offset = start
    self.end = end ?? bytes.count
    precondition(start >= 0 && start <= self.end && self.end <= bytes.count)
  }

  var isAtEnd: Bool { offset == end }

  /// Reads a number in base 128 of at most ten digits.
  mutating func varint() -> UInt64? {
    var result: UInt64 = 0
    var shift: UInt64 = 0
    while offset < end, shift < 70 {
      let byte = base.load(fromByteOffset: offset, as: UInt8.self)
      offset += 1
      result |= UInt64(byte & 0x7f) &<< shift
      if byte < 0x80 { return result }
      shift += 7
    }
    return nil
  }

  /// Reads a tag.
  mutating func tag() throws(Fault) -> Tag {
    let start = offset
    guard let value = varint() else { throw Fault(offset: start, problem: "the tag of a field is cut off or too long") }
    guard let number = UInt32(exactly: value >> 3), number > 0, number < 1 << 29 else {
      throw Fault(offset: start, problem: "\(value >> 3) is not the number of a field")
    }
    guard let wireType = WireType(rawValue: UInt8(value & 7)) else {
      throw Fault(offset: start, problem: "wire type \(value & 7) of field \(number) is not supported")
    }
    return Tag(number: number, wireType: wireType)
  }

  /// Reads the length of a value and moves to its first byte. The length is checked against the bytes that are left.
  mutating func length() throws(Fault) -> Int {
    let start = offset
    guard let value = varint() else { throw Fault(offset: start, problem: "the length is cut off or too long") }
    guard value <= UInt64(end - offset) else {
      throw Fault(offset: start, problem: "the length \(value) exceeds the \(end - offset) bytes that are left")
    }
    return Int(value)
  }

  /// Moves past `count` bytes, of which the caller knows that they are there.
  mutating func skip(_ count: Int) { offset += count }

  /// Reads and drops the value that follows a tag.
  mutating func skipValue(_ wireType: WireType) throws(Fault) {
    let start = offset
    switch wireType {
    case .varint:
      guard varint() != nil else { throw Fault(offset: start, problem: "the number is cut off or too long") }
    case .fixed32, .fixed64:
      let width = wireType == .fixed32 ? 4 : 8
      guard end - offset >= width else { throw Fault(offset: start, problem: "the number is cut off") }
      offset += width
    case .lengthDelimited:
      offset += try length()
    }
  }

  /// Reads four bytes, little-endian.
  mutating func fixed32() -> UInt32? {
    guard end - offset >= 4 else { return nil }
    defer { offset += 4 }
    return UInt32(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }

  /// Reads eight bytes, little-endian.
  mutating func fixed64() -> UInt64? {
    guard end - offset >= 8 else { return nil }
    defer { offset += 8 }
    return UInt64(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  /// The bytes from one offset to another.
  func bytes(from start: Int, to end: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base + start, count: end - start)
  }
}
