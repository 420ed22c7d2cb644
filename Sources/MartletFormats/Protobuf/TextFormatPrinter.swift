import CMartletProtos

/// Prints messages in protobuf's text format, as the libraries of other languages print it: a field a line, nested messages
/// in braces, two spaces an indentation, bytes that are not printable ASCII in octal.
///
/// It goes by the bytes of a message and its description, so that it serves every message there is. Fields that the
/// description does not know are left out: the text format has no place for them.
struct TextFormatPrinter {
  /// How deep messages may nest.
  static let depthLimit = WireChecker.depthLimit

  /// Prints the fields of a message.
  ///
  /// - Parameter depth: The number of messages around this one.
  /// - Throws: What is wrong with the bytes, where they are not a message.
  func printFields(
    of bytes: UnsafeRawBufferPointer, _ descriptor: MessageDescriptor, depth: Int = 0, to output: inout ByteBuffer
  ) throws(WireReader.Fault) {
    guard depth < Self.depthLimit else {
      throw WireReader.Fault(offset: 0, problem: "messages nest deeper than \(Self.depthLimit) levels")
    }
    var reader = WireReader(bytes)
    while !reader.isAtEnd {
      let tag = try reader.tag()
      guard let field = protobuf_c_message_descriptor_get_field(descriptor, tag.number) else {
        try reader.skipValue(tag.wireType)
        continue
      }
      if let message = field.pointee.messageDescriptor, tag.wireType == .lengthDelimited {
        let length = try reader.length()
        let start = reader.offset
        reader.skip(length)
        try printMessage(
          field, reader.bytes(from: start, to: start + length), message, depth: depth, to: &output)
      } else if tag.wireType == .lengthDelimited, field.pointee.wireType != .lengthDelimited {
        let length = try reader.length()
        var values = WireReader(reader.bytes(from: reader.offset, to: reader.offset + length))
        reader.skip(length)
        while !values.isAtEnd { try printScalar(field, field.pointee.wireType, &values, depth: depth, to: &output) }
      } else {
        try printScalar(field, tag.wireType, &reader, depth: depth, to: &output)
      }
    }
  }

  /// Prints a field that holds a message.
  func printMessage(
    _ field: FieldDescriptor, _ bytes: UnsafeRawBufferPointer, _ descriptor: MessageDescriptor, depth: Int,
    to output: inout ByteBuffer
  ) throws(WireReader.Fault) {
    open(field, depth: depth, to: &output)
    try printFields(of: bytes, descriptor, depth: depth + 1, to: &output)
    close(depth: depth, to: &output)
  }

  /// Prints the line before a message.
  func open(_ field: FieldDescriptor, depth: Int, to output: inout ByteBuffer) {
    printName(field, depth: depth, to: &output)
    output.append(" {\n" as StaticString)
  }

  /// Prints the line after a message.
  func close(depth: Int, to output: inout ByteBuffer) {
    for _ in 0..<depth { output.append("  " as StaticString) }
    output.append("}\n" as StaticString)
  }

  private func printName(_ field: FieldDescriptor, depth: Int, to output: inout ByteBuffer) {
    for _ in 0..<depth { output.append("  " as StaticString) }
    var name = UnsafeRawPointer(field.pointee.name!).assumingMemoryBound(to: UInt8.self)
    while name.pointee != 0 {
      output.append(name.pointee)
      name += 1
    }
  }

  private func printScalar(
    _ field: FieldDescriptor, _ wireType: WireType, _ reader: inout WireReader, depth: Int, to output: inout ByteBuffer
  ) throws(WireReader.Fault) {
    guard wireType == field.pointee.wireType else {
      throw WireReader.Fault(
        offset: reader.offset, problem: "the value is laid out as \(wireType), not \(field.pointee.wireType)")
    }
    printName(field, depth: depth, to: &output)
    output.append(": " as StaticString)
    switch wireType {
    case .varint:
      guard let value = reader.varint() else {
        throw WireReader.Fault(offset: reader.offset, problem: "the number is cut off or too long")
      }
      printInteger(field, value, to: &output)
    case .fixed32:
      guard let value = reader.fixed32() else {
        throw WireReader.Fault(offset: reader.offset, problem: "the number is cut off")
      }
      switch field.pointee.type {
      case PROTOBUF_C_TYPE_FLOAT: output.append(Float(bitPattern: value).description)
      case PROTOBUF_C_TYPE_SFIXED32: output.append(Int32(bitPattern: value).description)
      default: output.append(value.description)
      }
    case .fixed64:
      guard let value = reader.fixed64() else {
        throw WireReader.Fault(offset: reader.offset, problem: "the number is cut off")
      }
      switch field.pointee.type {
      case PROTOBUF_C_TYPE_DOUBLE: output.append(Double(bitPattern: value).description)
      case PROTOBUF_C_TYPE_SFIXED64: output.append(Int64(bitPattern: value).description)
      default: output.append(value.description)
      }
    case .lengthDelimited:
      let length = try reader.length()
      printQuoted(reader.bytes(from: reader.offset, to: reader.offset + length), to: &output)
      reader.skip(length)
    }
    output.append("\n" as StaticString)
  }

  private func printInteger(_ field: FieldDescriptor, _ value: UInt64, to output: inout ByteBuffer) {
    switch field.pointee.type {
    case PROTOBUF_C_TYPE_BOOL:
      output.append(value == 0 ? "false" as StaticString : "true")
    case PROTOBUF_C_TYPE_ENUM:
      let number = Int32(truncatingIfNeeded: value)
      if let name = protobuf_c_enum_descriptor_get_value(field.pointee.enumDescriptor, number) {
        output.append(String(cString: name.pointee.name))
      } else {
        output.append(number.description)
      }
    case PROTOBUF_C_TYPE_INT32:
      output.append(Int32(truncatingIfNeeded: value).description)
    case PROTOBUF_C_TYPE_UINT32:
      output.append(UInt32(truncatingIfNeeded: value).description)
    case PROTOBUF_C_TYPE_SINT32, PROTOBUF_C_TYPE_SINT64:
      output.append((Int64(value >> 1) ^ -Int64(value & 1)).description)
    case PROTOBUF_C_TYPE_INT64:
      output.append(Int64(bitPattern: value).description)
    default:
      output.append(value.description)
    }
  }

  private func printQuoted(_ bytes: UnsafeRawBufferPointer, to output: inout ByteBuffer) {
    output.append(UInt8(ascii: "\""))
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "\n"): output.append("\\n" as StaticString)
      case UInt8(ascii: "\r"): output.append("\\r" as StaticString)
      case UInt8(ascii: "\t"): output.append("\\t" as StaticString)
      case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "\\"):
        output.append(UInt8(ascii: "\\"))
        output.append(byte)
      case 0x20..<0x7f:
        output.append(byte)
      default:
        output.append(UInt8(ascii: "\\"))
        output.append(UInt8(ascii: "0") + byte >> 6)
        output.append(UInt8(ascii: "0") + byte >> 3 & 7)
        output.append(UInt8(ascii: "0") + byte & 7)
      }
    }
    output.append(UInt8(ascii: "\""))
  }
}
