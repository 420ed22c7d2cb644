import CMartletProtos
import MartletDiagnostics

/// Reads a GraphDef from its binary form.
///
/// Nodes and functions are checked, unpacked by libprotobuf-c and turned into records one at a time, so that what is
/// unpacked takes little memory beside the records, however large the graph.
struct GraphDefDecoder {
  /// The most bytes that unpacking a message of one byte may take, and those it may take besides. The worst that is not
  /// nonsense are empty shapes in a list, two bytes each, of which unpacking makes about ninety.
  static let memoryFactor = 64
  static let memoryAllowance = 1 << 16

  private let bytes: UnsafeRawBufferPointer
  private let file: String
  private let arena: MessageArena
  private var checker: WireChecker

  /// A decoder of bytes.
  ///
  /// - Parameters:
  ///   - file: The name of the file, for messages.
  ///   - arena: Where messages are unpacked.
  init(_ bytes: UnsafeRawBufferPointer, file: String, arena: MessageArena = MessageArena()) {
    self.bytes = bytes
    self.file = file
    self.arena = arena
    checker = WireChecker(bytes, file: file)
  }

  /// Reads the whole graph.
  ///
  /// - Throws: A `Diagnostic` that names file, offset and field.
  mutating func decode() throws -> GraphDefRecord {
    guard bytes.count <= Int32.max else { throw GraphDefRecord.tooLarge(file) }
    let nodeDescriptor = descriptor(of: tensorflow__node_def__init)
    var record = GraphDefRecord()
    var versionsBytes: [UInt8] = []
    var reader = WireReader(bytes)
    while !reader.isAtEnd {
      let start = reader.offset
      let tag = try located("GraphDef") { () throws(WireReader.Fault) in try reader.tag() }
      switch (tag.number, tag.wireType) {
      case (1, .lengthDelimited):
        let index = record.nodes.count
        let range = try messageRange(&reader, "node[\(index)]")
        record.nodes.append(
          try unpack(range, nodeDescriptor, "node[\(index)]") { (node: UnsafePointer<Tensorflow__NodeDef>) in
            NodeRecord(node)
          })
      case (2, .lengthDelimited):
        try decodeLibrary(try messageRange(&reader, "library"), into: &record)
      case (3, .varint):
        guard let value = reader.varint() else {
          throw malformed(file, offset: start, field: "version", "the number is cut off or too long")
        }
        record.version = Int32(truncatingIfNeeded: value)
      case (4, .lengthDelimited):
        // A message that appears twice is what both say together, which is what their bytes in a row mean.
        let range = try messageRange(&reader, "versions")
        try checker.check(range, as: descriptor(of: tensorflow__version_def__init), root: "versions")
        versionsBytes += reader.bytes(from: range.lowerBound, to: range.upperBound)
        record.versions = GraphDefRecord.Versions()
      case (1...4, _):
        throw malformed(file, offset: start, field: "GraphDef", "field \(tag.number) is laid out as \(tag.wireType)")
      default:
        record.otherFields.append(try otherField(tag, &reader, descriptor(of: tensorflow__graph_def__init)))
      }
    }
    if record.versions != nil {
      record.versions = try versionsBytes.withUnsafeBytes { bytes in
        var decoder = GraphDefDecoder(bytes, file: file, arena: arena)
        return try decoder.unpack(0..<bytes.count, descriptor(of: tensorflow__version_def__init), "versions") {
          (versions: UnsafePointer<Tensorflow__VersionDef>) in GraphDefRecord.Versions(versions)
        }
      }
    }
    return record
  }

  private mutating func decodeLibrary(_ range: Range<Int>, into record: inout GraphDefRecord) throws {
    let functionDescriptor = descriptor(of: tensorflow__function_def__init)
    let gradientDescriptor = descriptor(of: tensorflow__gradient_def__init)
    var reader = WireReader(bytes, from: range.lowerBound, to: range.upperBound)
    while !reader.isAtEnd {
      let start = reader.offset
      let tag = try located("library") { () throws(WireReader.Fault) in try reader.tag() }
      switch (tag.number, tag.wireType) {
      case (1, .lengthDelimited):
        let name = "library.function[\(record.library.count)]"
        let range = try messageRange(&reader, name)
        record.library.append(
          try unpack(range, functionDescriptor, name) { (function: UnsafePointer<Tensorflow__FunctionDef>) in
            FunctionRecord(function)
          })
      case (2, .lengthDelimited):
        let name = "library.gradient[\(record.gradients.count)]"
        let range = try messageRange(&reader, name)
        record.gradients.append(
          try unpack(range, gradientDescriptor, name) { (gradient: UnsafePointer<Tensorflow__GradientDef>) in
            GraphDefRecord.Gradient(
              function: String(field: gradient.pointee.function_name),
              gradient: String(field: gradient.pointee.gradient_func))
          })
      case (1...2, _):
        throw malformed(file, offset: start, field: "library", "field \(tag.number) is laid out as \(tag.wireType)")
      default:
        record.otherLibraryFields.append(
          try otherField(tag, &reader, descriptor(of: tensorflow__function_def_library__init)))
      }
    }
  }

  /// Checks a message, unpacks it, and makes a record of it.
  mutating func unpack<Message, Record>(
    _ range: Range<Int>, _ descriptor: MessageDescriptor, _ name: @autoclosure () -> String,
    _ makeRecord: (UnsafePointer<Message>) -> Record
  ) throws -> Record {
    try checker.check(range, as: descriptor, root: name())
    arena.reset(limit: Self.memoryFactor * range.count + Self.memoryAllowance)
    let source = bytes.baseAddress.map { ($0 + range.lowerBound).assumingMemoryBound(to: UInt8.self) }
    let message = arena.withAllocator { protobuf_c_message_unpack(descriptor, $0, range.count, source) }
    guard let message else {
      let problem =
        arena.isExhausted
        ? "unpacking its \(range.count) bytes would take more than \(arena.limit) bytes of memory"
        : "libprotobuf-c cannot unpack the message"
      throw malformed(file, offset: range.lowerBound, field: name(), problem)
    }
    return makeRecord(UnsafeRawPointer(message).assumingMemoryBound(to: Message.self))
  }

  /// The bytes of the message that the reader stands before.
  private func messageRange(_ reader: inout WireReader, _ name: @autoclosure () -> String) throws -> Range<Int> {
    let length = try located(name()) { () throws(WireReader.Fault) in try reader.length() }
    defer { reader.skip(length) }
    return reader.offset..<reader.offset + length
  }

  /// Reads a field that no record has. A message that the schema knows is checked and packed anew.
  private mutating func otherField(
    _ tag: WireReader.Tag, _ reader: inout WireReader, _ descriptor: MessageDescriptor
  ) throws -> FieldRecord {
    let start = reader.offset
    let field = protobuf_c_message_descriptor_get_field(descriptor, tag.number)
    let name = field.map { String(cString: $0.pointee.name) } ?? "field \(tag.number)"
    guard let message = field?.pointee.messageDescriptor else {
      try located(name) { () throws(WireReader.Fault) in try reader.skipValue(tag.wireType) }
      return FieldRecord(
        number: tag.number, wireType: tag.wireType.rawValue, bytes: Array(reader.bytes(from: start, to: reader.offset)))
    }
    guard tag.wireType == .lengthDelimited else {
      throw malformed(file, offset: start, field: name, "the value is laid out as \(tag.wireType)")
    }
    let range = try messageRange(&reader, name)
    return try unpack(range, message, name) { (message: UnsafePointer<ProtobufCMessage>) in
      var buffer = ByteBuffer()
      let count = protobuf_c_message_get_packed_size(message)
      buffer.append(varint: UInt64(count))
      protobuf_c_message_pack(message, buffer.extend(by: count).assumingMemoryBound(to: UInt8.self))
      return FieldRecord(number: tag.number, wireType: tag.wireType.rawValue, bytes: Array(buffer.bytes))
    }
  }

  /// Turns a fault into a diagnostic that names file, offset and field.
  private func located<R>(
    _ name: @autoclosure () -> String, _ body: () throws(WireReader.Fault) -> R
  ) throws -> R {
    do {
      return try body()
    } catch {
      throw malformed(file, offset: error.offset, field: name(), error.problem)
    }
  }
}

/// The description of a message, from the function that sets up an empty one.
func descriptor<Message>(of initialize: (UnsafeMutablePointer<Message>) -> Void) -> MessageDescriptor {
  withUnsafeTemporaryAllocation(of: Message.self, capacity: 1) { message in
    initialize(message.baseAddress!)
    return base(UnsafePointer(message.baseAddress!)).pointee.descriptor
  }
}
