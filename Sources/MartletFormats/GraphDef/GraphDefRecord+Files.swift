import CMartletProtos
import MartletDiagnostics

/// The forms in which a GraphDef stands in a file.
public enum GraphDefFormat: Sendable {
  /// Protobuf's binary form (`.pb`).
  case binary
  /// Protobuf's text format (`.pbtxt`).
  case text

  /// The form of some bytes: text has no control characters but white space, and every message of the binary form has.
  init(recognizing bytes: UnsafeRawBufferPointer) {
    let isText = bytes.prefix(4096).allSatisfy { $0 >= 0x20 || $0 == 0x09 || $0 == 0x0a || $0 == 0x0d }
    self = isText && !bytes.isEmpty ? .text : .binary
  }
}

extension GraphDefRecord {
  /// The most bytes that protobuf allows for a message, in either direction.
  static let sizeLimit = Int(Int32.max)

  static func tooLarge(_ what: String) -> Diagnostic {
    Diagnostic(
      "\(what) is larger than 2 GiB, which a GraphDef cannot be",
      hint: "keep large weights as variables, in a checkpoint, instead of constants in the graph")
  }

  /// Reads a file.
  ///
  /// - Parameter format: The form that the file has; nil to recognize it by its content.
  /// - Throws: A `Diagnostic` that names the file, the offset (in text, line and column) and the field.
  public init(contentsOf path: String, format: GraphDefFormat? = nil) throws {
    let file = try FileBytes(path: path)
    try self.init(file.bytes, format: format, name: path)
    withExtendedLifetime(file) {}
  }

  /// Reads bytes.
  ///
  /// - Parameters:
  ///   - format: The form that the bytes have; nil to recognize it by their content.
  ///   - name: What to call the bytes in messages.
  /// - Throws: A `Diagnostic` that names the bytes, the offset (in text, line and column) and the field.
  public init(bytes: [UInt8], format: GraphDefFormat? = nil, name: String = "GraphDef") throws {
    self = try bytes.withUnsafeBytes { try GraphDefRecord($0, format: format, name: name) }
  }

  /// Reads text in protobuf's text format.
  ///
  /// - Parameter name: What to call the text in messages.
  /// - Throws: A `Diagnostic` that names the text, the line and the column.
  public init(text: String, name: String = "GraphDef") throws {
    var text = text
    self = try text.withUTF8 { try GraphDefRecord(UnsafeRawBufferPointer($0), format: .text, name: name) }
  }

  init(
    _ bytes: UnsafeRawBufferPointer, format: GraphDefFormat?, name: String, arena: MessageArena = MessageArena()
  ) throws {
    guard bytes.count <= Self.sizeLimit else { throw Self.tooLarge(name) }
    switch format ?? GraphDefFormat(recognizing: bytes) {
    case .binary:
      var decoder = GraphDefDecoder(bytes, file: name, arena: arena)
      self = try decoder.decode()
    case .text:
      var parser = TextFormatParser(bytes, as: descriptor(of: tensorflow__graph_def__init), file: name)
      self = try parser.parse { binary in
        var decoder = GraphDefDecoder(binary, file: name, arena: arena)
        return try decoder.decode()
      }
    }
  }

  /// Writes a file. One graph always gives the same bytes. A file that was there before stays until the new one is whole.
  ///
  /// - Parameter format: The form to write. Text keeps neither the payload of a NaN nor fields that the schema does not
  ///   know.
  /// - Throws: A `Diagnostic` where the file cannot be written, or the graph is larger than a GraphDef can be.
  public func write(to path: String, format: GraphDefFormat = .binary) throws {
    let sink = try FileSink(path: path)
    var buffer = ByteBuffer(capacity: 1 << 16)
    try encode(format, into: &buffer) { buffer in
      guard buffer.count >= 1 << 20 else { return }
      try sink.write(buffer.bytes)
      buffer.removeAll()
    }
    try sink.write(buffer.bytes)
    try sink.finish()
  }

  /// The bytes of the binary form, the same for the same graph.
  ///
  /// - Throws: A `Diagnostic` where the graph is larger than a GraphDef can be, or a name has a NUL in it.
  public func encoded() throws -> [UInt8] {
    var buffer = ByteBuffer()
    try encode(.binary, into: &buffer) { _ in }
    return Array(buffer.bytes)
  }

  /// The graph in protobuf's text format.
  ///
  /// - Throws: A `Diagnostic` where a name has a NUL in it.
  public func text() throws -> String {
    var buffer = ByteBuffer()
    try encode(.text, into: &buffer) { _ in }
    return String(decoding: buffer.bytes, as: UTF8.self)
  }

  private func encode(
    _ format: GraphDefFormat, into buffer: inout ByteBuffer, flush: (inout ByteBuffer) throws -> Void
  ) throws {
    let encoder = GraphDefEncoder(self)
    switch format {
    case .binary: try encoder.encode(into: &buffer, flush: flush)
    case .text: try encoder.print(into: &buffer, flush: flush)
    }
  }
}
