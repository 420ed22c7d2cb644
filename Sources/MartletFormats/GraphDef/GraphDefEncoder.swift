import CMartletProtos
import MartletDiagnostics

/// Writes a GraphDef piece by piece: its nodes, its functions and the rest, one top-level field each.
///
/// The pieces are handed on as they come, so that a large graph is not held in memory a second time.
struct GraphDefEncoder {
  /// A message of the top level that is ready to be packed, and the number of its field.
  struct Piece {
    let number: UInt32
    let message: UnsafePointer<ProtobufCMessage>
    let byteCount: Int

    /// Appends the bytes of the message.
    func pack(into buffer: inout ByteBuffer) {
      let target = buffer.extend(by: byteCount).assumingMemoryBound(to: UInt8.self)
      let written = protobuf_c_message_pack(message, target)
      precondition(written == byteCount, "libprotobuf-c wrote \(written) bytes instead of \(byteCount).")
    }

    /// Appends the message as a field: tag, length and bytes.
    func packField(into buffer: inout ByteBuffer) {
      buffer.append(varint: UInt64(number) << 3 | UInt64(WireType.lengthDelimited.rawValue))
      buffer.append(varint: UInt64(byteCount))
      pack(into: &buffer)
    }
  }

  let record: GraphDefRecord
  private let encoder = RecordEncoder(arena: MessageArena())

  init(_ record: GraphDefRecord) { self.record = record }

  /// Appends the binary form to a buffer. `flush` is called after each piece, and may take bytes out of the buffer.
  ///
  /// - Throws: A `Diagnostic` where the graph cannot be written, and what `flush` throws.
  func encode(into buffer: inout ByteBuffer, flush: (inout ByteBuffer) throws -> Void) throws {
    var total = 0
    func count(_ byteCount: Int) throws {
      total += byteCount + 11
      guard total <= GraphDefRecord.sizeLimit else { throw GraphDefRecord.tooLarge("the graph") }
    }
    try forEachNode { node in
      try count(node.byteCount)
      node.packField(into: &buffer)
      try flush(&buffer)
    }
    if hasLibrary {
      var library = ByteBuffer()
      try forEachLibraryPiece { piece in
        try count(piece.byteCount)
        piece.packField(into: &library)
      }
      for field in record.otherLibraryFields { library.append(field) }
      buffer.append(varint: 2 << 3 | UInt64(WireType.lengthDelimited.rawValue))
      buffer.append(varint: UInt64(library.count))
      buffer.append(library.bytes)
      try flush(&buffer)
    }
    if record.version != 0 {
      buffer.append(varint: 3 << 3)
      buffer.append(varint: UInt64(bitPattern: Int64(record.version)))
    }
    try withVersions { $0.packField(into: &buffer) }
    for field in record.otherFields { buffer.append(field) }
    try flush(&buffer)
  }

  /// Whether there is anything to write for the library.
  var hasLibrary: Bool {
    !(record.library.isEmpty && record.gradients.isEmpty && record.otherLibraryFields.isEmpty)
  }

  /// Calls a closure with each node.
  func forEachNode(_ body: (Piece) throws -> Void) throws {
    for node in record.nodes { try prepare(1, try encoder.message(node), body) }
  }

  /// Calls a closure with each function and gradient, with numbers of fields of the library.
  func forEachLibraryPiece(_ body: (Piece) throws -> Void) throws {
    for function in record.library { try prepare(1, try encoder.message(function), body) }
    for gradient in record.gradients { try prepare(2, try encoder.message(gradient), body) }
  }

  /// Calls a closure with the versions where there are any.
  func withVersions(_ body: (Piece) throws -> Void) throws {
    if let versions = record.versions { try prepare(4, encoder.message(versions), body) }
  }

  /// Hands a message to a closure, then frees it.
  private func prepare<Message>(
    _ number: UInt32, _ message: UnsafeMutablePointer<Message>, _ body: (Piece) throws -> Void
  ) throws {
    defer { encoder.arena.reset() }
    let message = base(UnsafePointer(message))
    try body(Piece(number: number, message: message, byteCount: protobuf_c_message_get_packed_size(message)))
  }
}

extension ByteBuffer {
  /// Appends a field with its tag.
  mutating func append(_ field: FieldRecord) {
    append(varint: UInt64(field.number) << 3 | UInt64(field.wireType))
    append(field.bytes)
  }
}
