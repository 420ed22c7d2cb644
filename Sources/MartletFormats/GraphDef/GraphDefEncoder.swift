import CMartletProtos
import MartletDiagnostics

/// Writes a GraphDef piece by piece: its nodes, its functions and the rest, one top-level field each.
///
/// The pieces are handed on as they come, so that a large graph is not held in memory a second time.
struct GraphDefEncoder {
  /// A message of the top level: the number and description of its field, and its packed bytes.
  typealias Piece = (number: UInt32, descriptor: MessageDescriptor, bytes: UnsafeRawBufferPointer)

  let record: GraphDefRecord
  private let encoder = RecordEncoder(arena: MessageArena())

  init(_ record: GraphDefRecord) { self.record = record }

  /// Appends the binary form to a buffer. `flush` is called after each piece, and may take bytes out of the buffer.
  ///
  /// - Throws: A `Diagnostic` where the graph cannot be written, and what `flush` throws.
  func encode(into buffer: inout ByteBuffer, flush: (inout ByteBuffer) throws -> Void) throws {
    var total = 0
    func append(_ number: UInt32, _ bytes: UnsafeRawBufferPointer) throws {
      total += bytes.count + 11
      guard total <= Int32.max else { throw GraphDefRecord.tooLarge("the graph") }
      buffer.append(varint: UInt64(number) << 3 | 2)
      buffer.append(varint: UInt64(bytes.count))
      buffer.append(bytes)
      try flush(&buffer)
    }
    try forEachNode { try append(1, $0.bytes) }
    var library = ByteBuffer()
    try forEachLibraryPiece { piece in
      library.append(varint: UInt64(piece.number) << 3 | 2)
      library.append(varint: UInt64(piece.bytes.count))
      library.append(piece.bytes)
      guard library.count <= Int32.max else { throw GraphDefRecord.tooLarge("the graph's library") }
    }
    for field in record.otherLibraryFields { library.append(field) }
    if library.count > 0 { try append(2, library.bytes) }
    if record.version != 0 {
      buffer.append(varint: 3 << 3)
      buffer.append(varint: UInt64(bitPattern: Int64(record.version)))
    }
    try withVersions { try append(4, $0.bytes) }
    for field in record.otherFields { buffer.append(field) }
    try flush(&buffer)
  }

  /// Whether there is anything to write for the library.
  var hasLibrary: Bool {
    !(record.library.isEmpty && record.gradients.isEmpty && record.otherLibraryFields.isEmpty)
  }

  /// Calls a closure with each node.
  func forEachNode(_ body: (Piece) throws -> Void) throws {
    for node in record.nodes {
      try packed(1, try encoder.message(node), body)
    }
  }

  /// Calls a closure with each function and gradient, with numbers of fields of the library.
  func forEachLibraryPiece(_ body: (Piece) throws -> Void) throws {
    for function in record.library { try packed(1, try encoder.message(function), body) }
    for gradient in record.gradients { try packed(2, try encoder.message(gradient), body) }
  }

  /// Calls a closure with the versions where there are any.
  func withVersions(_ body: (Piece) throws -> Void) throws {
    if let versions = record.versions { try packed(4, encoder.message(versions), body) }
  }

  /// Packs a message for a closure, then frees it.
  private func packed<Message>(
    _ number: UInt32, _ message: UnsafeMutablePointer<Message>, _ body: (Piece) throws -> Void
  ) throws {
    defer { encoder.arena.reset() }
    let message = base(UnsafePointer(message))
    let count = protobuf_c_message_get_packed_size(message)
    let bytes = encoder.arena.allocate(UInt8.self, count: count)!
    protobuf_c_message_pack(message, bytes)
    try body((number, message.pointee.descriptor, UnsafeRawBufferPointer(start: bytes, count: count)))
  }
}

extension ByteBuffer {
  /// Appends a field with its tag.
  mutating func append(_ field: FieldRecord) {
    append(varint: UInt64(field.number) << 3 | UInt64(field.wireType))
    append(field.bytes)
  }
}
