/// Bytes that are appended to, without the cost of clearing them first.
struct ByteBuffer: ~Copyable {
  private(set) var count = 0
  private var capacity: Int
  private var base: UnsafeMutableRawPointer

  init(capacity: Int = 4096) {
    self.capacity = max(capacity, 64)
    base = .allocate(byteCount: self.capacity, alignment: 16)
  }

  deinit { base.deallocate() }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  /// Appends `byteCount` bytes that the caller is to write at the address returned, before anything else is appended.
  mutating func extend(by byteCount: Int) -> UnsafeMutableRawPointer {
    if capacity - count < byteCount { grow(by: byteCount) }
    defer { count += byteCount }
    return base + count
  }

  mutating func append(_ byte: UInt8) {
    if capacity == count { grow(by: 1) }
    base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count += 1
  }

  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress else { return }
    extend(by: bytes.count).copyMemory(from: source, byteCount: bytes.count)
  }

  mutating func append(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { append($0) }
  }

  mutating func append(_ text: String) {
    var text = text
    text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
  }

  mutating func append(_ text: StaticString) {
    append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  /// Appends a number in base 128, lowest digits first, as protobuf writes it.
  mutating func append(varint value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(truncatingIfNeeded: rest))
  }

  /// Appends a number, little-endian.
  mutating func append(littleEndian value: UInt32) {
    extend(by: 4).storeBytes(of: value.littleEndian, as: UInt32.self)
  }

  /// Appends a number, little-endian.
  mutating func append(littleEndian value: UInt64) {
    extend(by: 8).storeBytes(of: value.littleEndian, as: UInt64.self)
  }

  /// Replaces a byte that was appended before.
  mutating func overwrite(_ offset: Int, _ byte: UInt8) {
    precondition(offset >= 0 && offset < count)
    base.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
  }

  mutating func removeAll() { count = 0 }

  private mutating func grow(by byteCount: Int) {
    capacity = max(capacity * 2, count + byteCount)
    let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    larger.copyMemory(from: base, byteCount: count)
    base.deallocate()
    base = larger
  }
}
