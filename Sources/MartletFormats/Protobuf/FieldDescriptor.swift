import CMartletProtos

/// libprotobuf-c's description of a message: its fields with their names, numbers and types.
typealias MessageDescriptor = UnsafePointer<ProtobufCMessageDescriptor>

/// libprotobuf-c's description of a field.
typealias FieldDescriptor = UnsafePointer<ProtobufCFieldDescriptor>

/// How a field's value is laid out, from the low three bits of its tag.
enum WireType: UInt8 {
  case varint = 0
  case fixed64 = 1
  case lengthDelimited = 2
  case fixed32 = 5
}

extension ProtobufCFieldDescriptor {
  var isRepeated: Bool { label == PROTOBUF_C_LABEL_REPEATED }

  var isOneofMember: Bool { flags & PROTOBUF_C_FIELD_FLAG_ONEOF.rawValue != 0 }

  /// The description of the message that this field holds; nil for a field of another kind.
  var messageDescriptor: MessageDescriptor? {
    type == PROTOBUF_C_TYPE_MESSAGE ? descriptor?.assumingMemoryBound(to: ProtobufCMessageDescriptor.self) : nil
  }

  /// The description of the enumeration that this field holds; nil for a field of another kind.
  var enumDescriptor: UnsafePointer<ProtobufCEnumDescriptor>? {
    type == PROTOBUF_C_TYPE_ENUM ? descriptor?.assumingMemoryBound(to: ProtobufCEnumDescriptor.self) : nil
  }

  /// How one value of this field is laid out.
  var wireType: WireType {
    switch type {
    case PROTOBUF_C_TYPE_FIXED32, PROTOBUF_C_TYPE_SFIXED32, PROTOBUF_C_TYPE_FLOAT: .fixed32
    case PROTOBUF_C_TYPE_FIXED64, PROTOBUF_C_TYPE_SFIXED64, PROTOBUF_C_TYPE_DOUBLE: .fixed64
    case PROTOBUF_C_TYPE_STRING, PROTOBUF_C_TYPE_BYTES, PROTOBUF_C_TYPE_MESSAGE: .lengthDelimited
    default: .varint
    }
  }
}
