import CMartletProtos
import MartletDiagnostics

// Attributes and functions that a graph only keeps are kept as their bytes on the wire.

extension AttributeRecord {
  /// Reads an `AttrValue` from its binary form.
  ///
  /// - Throws: A `Diagnostic` where the bytes are none.
  init(encoded bytes: [UInt8]) throws {
    self = try record(bytes, descriptor(of: tensorflow__attr_value__init), "attribute") { AttributeRecord($0) }
  }

  /// The binary form.
  func encoded() throws -> [UInt8] { try packed { try $0.message(self, depth: 0) } }
}

extension FunctionRecord {
  /// Reads a `FunctionDef` from its binary form.
  ///
  /// - Throws: A `Diagnostic` where the bytes are none.
  init(encoded bytes: [UInt8]) throws {
    self = try record(bytes, descriptor(of: tensorflow__function_def__init), "function") { FunctionRecord($0) }
  }

  /// The binary form.
  func encoded() throws -> [UInt8] { try packed { try $0.message(self) } }
}

/// Fields in a row, as `fieldRecords(of:)` takes them apart again.
func bytes(of fields: [FieldRecord]) -> [UInt8] {
  var buffer = ByteBuffer()
  for field in fields { buffer.append(field) }
  return Array(buffer.bytes)
}

private func record<Message, Record>(
  _ bytes: [UInt8], _ descriptor: MessageDescriptor, _ name: String, _ makeRecord: (UnsafePointer<Message>) -> Record
) throws -> Record {
  try bytes.withUnsafeBytes { bytes in
    var decoder = GraphDefDecoder(bytes, file: name)
    return try decoder.unpack(0..<bytes.count, descriptor, name, makeRecord)
  }
}

private func packed<Message>(_ makeMessage: (RecordEncoder) throws -> UnsafeMutablePointer<Message>) throws -> [UInt8] {
  let encoder = RecordEncoder(arena: MessageArena())
  let message = base(UnsafePointer(try makeMessage(encoder)))
  let count = protobuf_c_message_get_packed_size(message)
  return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
    guard count > 0 else { return }
    initialized = protobuf_c_message_pack(message, buffer.baseAddress)
  }
}
