import CMartletProtos
import MartletDiagnostics

/// Checks a message against its description before libprotobuf-c unpacks it: every length stays within its message, every
/// value is laid out as its field asks for, strings are UTF-8 without NUL, and messages nest no deeper than a limit (unpacking
/// calls itself for each level). It goes through nested messages with a stack of its own.
struct WireChecker {
  /// The deepest that messages may nest, as in TensorFlow's own readers.
  static let depthLimit = 100

  private struct Level {
    let descriptor: MessageDescriptor
    let end: Int
    /// The field of the level above that holds this message.
    let field: FieldDescriptor?
  }

  private let bytes: UnsafeRawBufferPointer
  private let file: String
  private var levels: [Level] = []

  /// A checker of messages that stand in a file.
  ///
  /// - Parameters:
  ///   - bytes: The whole file.
  ///   - file: Its name, for messages.
  init(_ bytes: UnsafeRawBufferPointer, file: String) {
    self.bytes = bytes
    self.file = file
  }

  /// Checks the message in a range of the bytes, which the field `root` holds.
  ///
  /// - Throws: A `Diagnostic` that names file, offset and field.
  mutating func check(_ range: Range<Int>, as descriptor: MessageDescriptor, root: @autoclosure () -> String) throws {
    levels.removeAll(keepingCapacity: true)
    levels.append(Level(descriptor: descriptor, end: range.upperBound, field: nil))
    var reader = WireReader(bytes, from: range.lowerBound, to: range.upperBound)
    while let level = levels.last {
      if reader.offset == level.end {
        levels.removeLast()
        // The rest of the message above, which ends later or at the same place.
        if let above = levels.last { reader = WireReader(bytes, from: reader.offset, to: above.end) }
        continue
      }
      var field: FieldDescriptor?
      do throws(WireReader.Fault) {
        let tag = try reader.tag()
        field = protobuf_c_message_descriptor_get_field(level.descriptor, tag.number)
        guard let field else {
          try reader.skipValue(tag.wireType)
          continue
        }
        if let message = field.pointee.messageDescriptor, tag.wireType == .lengthDelimited {
          let length = try reader.length()
          guard levels.count < Self.depthLimit else {
            throw WireReader.Fault(
              offset: reader.offset, problem: "messages nest deeper than \(Self.depthLimit) levels")
          }
          levels.append(Level(descriptor: message, end: reader.offset + length, field: field))
          reader = WireReader(bytes, from: reader.offset, to: reader.offset + length)
        } else {
          try checkScalar(field.pointee, tag.wireType, &reader)
        }
      } catch {
        throw malformed(file, offset: error.offset, field: path(from: root(), to: field), error.problem)
      }
    }
  }

  private func checkScalar(
    _ field: ProtobufCFieldDescriptor, _ wireType: WireType, _ reader: inout WireReader
  ) throws(WireReader.Fault) {
    let start = reader.offset
    if field.wireType != wireType {
      guard field.isRepeated, wireType == .lengthDelimited, field.wireType != .lengthDelimited else {
        throw WireReader.Fault(offset: start, problem: "the value is laid out as \(wireType), not \(field.wireType)")
      }
      return try checkPacked(field, &reader)
    }
    guard wireType == .lengthDelimited else { return try reader.skipValue(wireType) }
    let length = try reader.length()
    let first = reader.offset
    reader.skip(length)
    if field.type == PROTOBUF_C_TYPE_STRING, !isCleanUTF8(reader.bytes(from: first, to: first + length)) {
      throw WireReader.Fault(offset: first, problem: "the string is not UTF-8, or has a NUL in it")
    }
  }

  private func checkPacked(_ field: ProtobufCFieldDescriptor, _ reader: inout WireReader) throws(WireReader.Fault) {
    let length = try reader.length()
    let start = reader.offset
    switch field.wireType {
    case .fixed32, .fixed64:
      let width = field.wireType == .fixed32 ? 4 : 8
      guard length % width == 0 else {
        throw WireReader.Fault(offset: start, problem: "\(length) bytes do not hold whole numbers of \(width) bytes")
      }
      reader.skip(length)
    case .varint, .lengthDelimited:
      var numbers = WireReader(bytes, from: start, to: start + length)
      while !numbers.isAtEnd { try numbers.skipValue(.varint) }
      reader.skip(length)
    }
  }

  /// The names of the fields that lead to a field, such as `node[3].attr.value.tensor`.
  private func path(from root: String, to field: FieldDescriptor?) -> String {
    var names = [root]
    for level in levels.dropFirst() { names.append(String(cString: level.field!.pointee.name)) }
    if let field, levels.last?.field != field { names.append(String(cString: field.pointee.name)) }
    return names.joined(separator: ".")
  }
}
