import CMartletProtos
import MartletDiagnostics

extension GraphDefEncoder {
  /// Appends the text form to a buffer. `flush` is called after each piece, and may take bytes out of the buffer.
  ///
  /// - Throws: A `Diagnostic` where the graph cannot be written, and what `flush` throws.
  func print(into buffer: inout ByteBuffer, flush: (inout ByteBuffer) throws -> Void) throws {
    let printer = TextFormatPrinter()
    let graph = descriptor(of: tensorflow__graph_def__init)
    let library = descriptor(of: tensorflow__function_def_library__init)

    func field(_ message: MessageDescriptor, _ number: UInt32) -> FieldDescriptor {
      protobuf_c_message_descriptor_get_field(message, number)
    }
    func printed(_ body: () throws(WireReader.Fault) -> Void) throws {
      do { try body() } catch { throw Diagnostic("a field kept from a file cannot be printed: \(error.problem)") }
    }
    var packed = ByteBuffer()
    func print(_ piece: Piece, of message: MessageDescriptor, depth: Int) throws {
      packed.removeAll()
      piece.pack(into: &packed)
      try printed { () throws(WireReader.Fault) in
        try printer.printMessage(
          field(message, piece.number), packed.bytes, piece.message.pointee.descriptor, depth: depth, to: &buffer)
      }
      try flush(&buffer)
    }
    func print(_ others: [FieldRecord], of message: MessageDescriptor, depth: Int) throws {
      var fields = ByteBuffer()
      for other in others { fields.append(other) }
      try printed { () throws(WireReader.Fault) in
        try printer.printFields(of: fields.bytes, message, depth: depth, to: &buffer)
      }
    }

    try forEachNode { try print($0, of: graph, depth: 0) }
    if hasLibrary {
      printer.open(field(graph, 2), depth: 0, to: &buffer)
      try forEachLibraryPiece { try print($0, of: library, depth: 1) }
      try print(record.otherLibraryFields, of: library, depth: 1)
      printer.close(depth: 0, to: &buffer)
    }
    if record.version != 0 { buffer.append("version: \(record.version)\n") }
    try withVersions { try print($0, of: graph, depth: 0) }
    try print(record.otherFields, of: graph, depth: 0)
    try flush(&buffer)
  }
}
