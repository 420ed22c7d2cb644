import CMartletProtos
import MartletDiagnostics

/// Turns protobuf's text format into the binary form, by the description of the message.
///
/// Nested messages are followed with a stack of the parser's own and no deeper than a limit. The binary form takes at most a
/// small multiple of the text's bytes. Lengths are written in five bytes, padded, so that they can be filled in afterwards.
struct TextFormatParser: ~Copyable {
  /// How deep messages may nest.
  static let depthLimit = WireChecker.depthLimit

  private struct Level {
    let descriptor: MessageDescriptor
    /// The field of the level above that holds this message.
    var field: FieldDescriptor?
    /// The byte that ends this message.
    var closing: UInt8 = 0
    /// Where the length is to be written.
    var lengthOffset = 0
    /// Whether the message stands in a list in square brackets.
    var isInList = false
    /// The fields, by position, that were set; only for those that may be set once.
    var seen: UInt64 = 0
  }

  private var scanner: TextFormatScanner
  private var levels: [Level]
  private var output = ByteBuffer()
  private let name = UnsafeMutablePointer<CChar>.allocate(capacity: nameCapacity)
  private static let nameCapacity = 128

  /// A parser of a message.
  ///
  /// - Parameter file: The name of the file, for messages.
  init(_ bytes: UnsafeRawBufferPointer, as descriptor: MessageDescriptor, file: String) {
    scanner = TextFormatScanner(bytes, file: file)
    levels = [Level(descriptor: descriptor)]
  }

  deinit { name.deallocate() }

  /// Calls a closure with the binary form of the message.
  ///
  /// - Throws: A `Diagnostic` that names file, line and column, and what the closure throws.
  mutating func parse<R>(_ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
    while let level = levels.last {
      scanner.skipSpace()
      if scanner.isAtEnd {
        guard levels.count == 1 else {
          throw scanner.failure("the message '\(Self.name(of: level.field!))' is not closed")
        }
        return try body(output.bytes)
      }
      if level.field != nil, scanner.next == level.closing {
        scanner.advance()
        try closeMessage()
      } else {
        try parseField()
      }
    }
    preconditionFailure("The level of the whole message is never removed.")
  }

  private mutating func parseField() throws {
    let start = scanner.offset
    let word = scanner.word()
    guard !word.isEmpty else {
      let isExtension = scanner.next == UInt8(ascii: "[")
      throw scanner.failure(isExtension ? "extensions and Any are not supported" : "the name of a field belongs here")
    }
    let descriptor = levels[levels.count - 1].descriptor
    guard setName(word), let field = protobuf_c_message_descriptor_get_field_by_name(descriptor, name) else {
      let message = String(cString: descriptor.pointee.short_name)
      throw scanner.failure("\(message) has no field '\(String(decoding: word, as: UTF8.self))'", at: start)
    }
    try markSeen(field, start)
    let hasColon = scanner.skip(UInt8(ascii: ":"))
    scanner.skipSpace()
    if field.pointee.type != PROTOBUF_C_TYPE_MESSAGE, !hasColon {
      throw scanner.failure("a colon belongs between '\(Self.name(of: field))' and its value")
    }
    let isList = field.pointee.isRepeated && scanner.skip(UInt8(ascii: "["))
    if isList, scanner.skip(UInt8(ascii: "]")) { return skipSeparator() }
    scanner.skipSpace()
    if let message = field.pointee.messageDescriptor {
      return try openMessage(field, message, isInList: isList)
    }
    try parseScalar(field)
    while isList {
      if scanner.skip(UInt8(ascii: "]")) { break }
      guard scanner.skip(UInt8(ascii: ",")) else { throw scanner.failure("a comma or ']' belongs here") }
      scanner.skipSpace()
      try parseScalar(field)
    }
    skipSeparator()
  }

  /// Refuses a second value of a field, or of a oneof, that has only one.
  private mutating func markSeen(_ field: FieldDescriptor, _ start: Int) throws {
    let top = levels.count - 1
    let message = levels[top].descriptor.pointee
    let position = field - message.fields
    guard !field.pointee.isRepeated, position < 64 else { return }
    for other in 0..<min(Int(message.n_fields), 64) where levels[top].seen >> UInt64(other) & 1 == 1 {
      let sharesOneof =
        field.pointee.isOneofMember && message.fields[other].isOneofMember
        && message.fields[other].quantifier_offset == field.pointee.quantifier_offset
      guard other != position, !sharesOneof else {
        let previous = String(cString: message.fields[other].name)
        throw scanner.failure("'\(Self.name(of: field))' cannot be set after '\(previous)'", at: start)
      }
    }
    levels[top].seen |= 1 << UInt64(position)
  }

  private mutating func openMessage(_ field: FieldDescriptor, _ message: MessageDescriptor, isInList: Bool) throws {
    let opening = scanner.next
    guard opening == UInt8(ascii: "{") || opening == UInt8(ascii: "<") else {
      throw scanner.failure("'{' belongs here, before the fields of '\(Self.name(of: field))'")
    }
    guard levels.count < Self.depthLimit else {
      throw scanner.failure("messages nest deeper than \(Self.depthLimit) levels")
    }
    scanner.advance()
    output.append(varint: UInt64(field.pointee.id) << 3 | UInt64(WireType.lengthDelimited.rawValue))
    let closing = opening == UInt8(ascii: "{") ? UInt8(ascii: "}") : UInt8(ascii: ">")
    levels.append(
      Level(
        descriptor: message, field: field, closing: closing, lengthOffset: output.reserveLength(), isInList: isInList))
  }

  private mutating func closeMessage() throws {
    let level = levels.removeLast()
    guard output.fillLength(at: level.lengthOffset) else { throw scanner.failure("the message is larger than 2 GiB") }
    if level.isInList, !scanner.skip(UInt8(ascii: "]")) {
      guard scanner.skip(UInt8(ascii: ",")) else { throw scanner.failure("a comma or ']' belongs here") }
      scanner.skipSpace()
      return try openMessage(level.field!, level.descriptor, isInList: true)
    }
    skipSeparator()
  }

  private mutating func skipSeparator() {
    if !scanner.skip(UInt8(ascii: ",")) { _ = scanner.skip(UInt8(ascii: ";")) }
  }

  private mutating func parseScalar(_ field: FieldDescriptor) throws {
    let start = scanner.offset
    output.append(varint: UInt64(field.pointee.id) << 3 | UInt64(field.pointee.wireType.rawValue))
    switch field.pointee.type {
    case PROTOBUF_C_TYPE_INT32:
      output.append(varint: UInt64(bitPattern: try scanner.signed(bitWidth: 32)))
    case PROTOBUF_C_TYPE_INT64:
      output.append(varint: UInt64(bitPattern: try scanner.signed(bitWidth: 64)))
    case PROTOBUF_C_TYPE_SINT32, PROTOBUF_C_TYPE_SINT64:
      let value = try scanner.signed(bitWidth: field.pointee.type == PROTOBUF_C_TYPE_SINT32 ? 32 : 64)
      output.append(varint: UInt64(bitPattern: value << 1 ^ value >> 63))
    case PROTOBUF_C_TYPE_UINT32:
      output.append(varint: try scanner.unsigned(bitWidth: 32))
    case PROTOBUF_C_TYPE_UINT64:
      output.append(varint: try scanner.unsigned(bitWidth: 64))
    case PROTOBUF_C_TYPE_SFIXED32:
      output.append(littleEndian: UInt32(truncatingIfNeeded: try scanner.signed(bitWidth: 32)))
    case PROTOBUF_C_TYPE_FIXED32:
      output.append(littleEndian: UInt32(try scanner.unsigned(bitWidth: 32)))
    case PROTOBUF_C_TYPE_SFIXED64:
      output.append(littleEndian: UInt64(bitPattern: try scanner.signed(bitWidth: 64)))
    case PROTOBUF_C_TYPE_FIXED64:
      output.append(littleEndian: try scanner.unsigned(bitWidth: 64))
    case PROTOBUF_C_TYPE_FLOAT:
      output.append(littleEndian: try scanner.real(Float.self).bitPattern)
    case PROTOBUF_C_TYPE_DOUBLE:
      output.append(littleEndian: try scanner.real(Double.self).bitPattern)
    case PROTOBUF_C_TYPE_BOOL:
      output.append(try boolean() ? 1 : 0)
    case PROTOBUF_C_TYPE_ENUM:
      output.append(varint: UInt64(bitPattern: Int64(try enumerator(field))))
    default:
      let lengthOffset = output.reserveLength()
      try scanner.quoted(to: &output)
      guard output.fillLength(at: lengthOffset) else {
        throw scanner.failure("the string is larger than 2 GiB", at: start)
      }
      let text = UnsafeRawBufferPointer(rebasing: output.bytes[(lengthOffset + ByteBuffer.lengthWidth)...])
      if field.pointee.type == PROTOBUF_C_TYPE_STRING, !isCleanUTF8(text) {
        throw scanner.failure("'\(Self.name(of: field))' is not UTF-8, or has a NUL in it", at: start)
      }
    }
  }

  private mutating func boolean() throws -> Bool {
    let start = scanner.offset
    switch String(decoding: scanner.word(), as: UTF8.self) {
    case "true", "True", "t", "1": return true
    case "false", "False", "f", "0": return false
    default: throw scanner.failure("'true' or 'false' belongs here", at: start)
    }
  }

  private mutating func enumerator(_ field: FieldDescriptor) throws -> Int32 {
    let start = scanner.offset
    guard case UInt8(ascii: "A")...UInt8(ascii: "Z") = scanner.next & 0xdf else {
      return Int32(try scanner.signed(bitWidth: 32))
    }
    let word = scanner.word()
    guard setName(word),
      let value = protobuf_c_enum_descriptor_get_value_by_name(field.pointee.enumDescriptor, name)
    else {
      throw scanner.failure(
        "'\(String(decoding: word, as: UTF8.self))' is not a value of '\(Self.name(of: field))'", at: start)
    }
    return value.pointee.value
  }

  /// Copies a word to where C can read it; false where it is longer than any name.
  private func setName(_ word: UnsafeRawBufferPointer) -> Bool {
    guard word.count < Self.nameCapacity else { return false }
    UnsafeMutableRawBufferPointer(start: name, count: word.count).copyMemory(from: word)
    name[word.count] = 0
    return true
  }

  private static func name(of field: FieldDescriptor) -> String { String(cString: field.pointee.name) }
}

extension ByteBuffer {
  /// The bytes of a length that is filled in afterwards.
  static let lengthWidth = 5

  /// Leaves room for a length, and returns where.
  fileprivate mutating func reserveLength() -> Int {
    let offset = count
    _ = extend(by: Self.lengthWidth)
    return offset
  }

  /// Writes the number of bytes appended since ``reserveLength()``; false where it is too large for protobuf.
  fileprivate mutating func fillLength(at offset: Int) -> Bool {
    let length = count - offset - Self.lengthWidth
    guard length <= Int32.max else { return false }
    for i in 0..<Self.lengthWidth {
      let isLast = i == Self.lengthWidth - 1
      overwrite(offset + i, UInt8(truncatingIfNeeded: length >> (7 * i)) & 0x7f | (isLast ? 0 : 0x80))
    }
    return true
  }
}
