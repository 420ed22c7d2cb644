import CMartletProtos

/// The entry of a map from names to attributes; protoc-c makes a struct of its own for each such map.
protocol AttributeEntry {
  var base: ProtobufCMessage { get set }
  var key: UnsafeMutablePointer<CChar>! { get set }
  var value: UnsafeMutablePointer<Tensorflow__AttrValue>! { get set }
  /// Sets the struct up as an empty message.
  static func initialize(_ entry: UnsafeMutablePointer<Self>)
}

extension Tensorflow__NodeDef__AttrEntry: AttributeEntry {
  static func initialize(_ entry: UnsafeMutablePointer<Self>) { tensorflow__node_def__attr_entry__init(entry) }
}

extension Tensorflow__NameAttrList__AttrEntry: AttributeEntry {
  static func initialize(_ entry: UnsafeMutablePointer<Self>) { tensorflow__name_attr_list__attr_entry__init(entry) }
}

extension Tensorflow__FunctionDef__AttrEntry: AttributeEntry {
  static func initialize(_ entry: UnsafeMutablePointer<Self>) { tensorflow__function_def__attr_entry__init(entry) }
}

extension Tensorflow__FunctionDef__ArgAttrs__AttrEntry: AttributeEntry {
  static func initialize(_ entry: UnsafeMutablePointer<Self>) {
    tensorflow__function_def__arg_attrs__attr_entry__init(entry)
  }
}

/// The entry of a map from names to names.
protocol BindingEntry {
  var key: UnsafeMutablePointer<CChar>! { get set }
  var value: UnsafeMutablePointer<CChar>! { get set }
  /// Sets the struct up as an empty message.
  static func initialize(_ entry: UnsafeMutablePointer<Self>)
}

extension Tensorflow__FunctionDef__RetEntry: BindingEntry {
  static func initialize(_ entry: UnsafeMutablePointer<Self>) { tensorflow__function_def__ret_entry__init(entry) }
}

extension Tensorflow__FunctionDef__ControlRetEntry: BindingEntry {
  static func initialize(_ entry: UnsafeMutablePointer<Self>) {
    tensorflow__function_def__control_ret_entry__init(entry)
  }
}

/// The part of a message struct that all have in common.
func base<Message>(_ message: UnsafePointer<Message>) -> UnsafePointer<ProtobufCMessage> {
  UnsafeRawPointer(message).assumingMemoryBound(to: ProtobufCMessage.self)
}

/// The values of a repeated field.
func array<T>(_ values: UnsafeMutablePointer<T>?, _ count: Int) -> [T] {
  Array(UnsafeBufferPointer(start: values, count: values == nil ? 0 : count))
}

/// The messages of a repeated field.
func array<Message, T>(
  _ messages: UnsafeMutablePointer<UnsafeMutablePointer<Message>?>?, _ count: Int,
  _ transform: (UnsafePointer<Message>) -> T
) -> [T] {
  guard let messages, count > 0 else { return [] }
  return [T](unsafeUninitializedCapacity: count) { buffer, initialized in
    while initialized < count {
      buffer.initializeElement(at: initialized, to: transform(messages[initialized]!))
      initialized += 1
    }
  }
}

/// The bytes of a field.
func array(_ data: ProtobufCBinaryData) -> [UInt8] {
  Array(UnsafeBufferPointer(start: data.data, count: data.data == nil ? 0 : data.len))
}

extension String {
  /// The text of a field. Its bytes were checked before they were unpacked.
  init(field text: UnsafePointer<CChar>?) { self = text.map { String(cString: $0) } ?? "" }
}

/// What is left of a message after the fields that a record has were cleared from a copy of its struct.
func otherFields<Message>(_ message: inout Message) -> [FieldRecord] {
  withUnsafePointer(to: &message) { pointer in
    let base = base(pointer)
    let count = protobuf_c_message_get_packed_size(base)
    guard count > 0 else { return [] }
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      initialized = protobuf_c_message_pack(base, buffer.baseAddress)
    }
    return bytes.withUnsafeBytes { fieldRecords(of: $0) }
  }
}

/// The fields of a well-formed message, as they stand on the wire.
func fieldRecords(of bytes: UnsafeRawBufferPointer) -> [FieldRecord] {
  var reader = WireReader(bytes)
  var fields: [FieldRecord] = []
  while !reader.isAtEnd {
    guard let tag = try? reader.tag() else { break }
    let start = reader.offset
    guard (try? reader.skipValue(tag.wireType)) != nil else { break }
    fields.append(
      FieldRecord(
        number: tag.number, wireType: tag.wireType.rawValue,
        bytes: Array(reader.bytes(from: start, to: reader.offset))))
  }
  return fields
}
