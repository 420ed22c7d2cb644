import CMartletProtos
import MartletTensors

// Records from the structs that libprotobuf-c unpacked. The messages were checked: their strings are UTF-8, and they nest no
// deeper than `WireChecker.depthLimit`, which bounds the recursion here.

extension ShapeRecord {
  init(_ message: UnsafePointer<Tensorflow__TensorShapeProto>) {
    var rest = message.pointee
    self.init(
      dimensions: array(rest.dim, rest.n_dim) {
        Dimension(size: $0.pointee.size, name: String(field: $0.pointee.name))
      },
      hasUnknownRank: rest.unknown_rank != 0)
    rest.n_dim = 0
    rest.unknown_rank = 0
    otherFields = MartletFormats.otherFields(&rest)
  }
}

extension TensorRecord {
  init(_ message: UnsafePointer<Tensorflow__TensorProto>) {
    var rest = message.pointee
    let shape = rest.tensor_shape.map { ShapeRecord($0) } ?? ShapeRecord(dimensions: [])
    self.init(type: Int32(bitPattern: rest.dtype.rawValue), shape: shape, values: .none)
    rest.dtype = TENSORFLOW__DATA_TYPE__DT_INVALID
    rest.tensor_shape = nil
    let elementType = ElementType(tensorFlowCode: type)
    if rest.tensor_content.len > 0 {
      values = Self.content(rest.tensor_content, elementType, shape.extents)
      rest.tensor_content = ProtobufCBinaryData()
    } else {
      switch elementType {
      case .float32 where rest.n_float_val > 0:
        values = .floats(array(rest.float_val, rest.n_float_val))
        rest.n_float_val = 0
      case .float64 where rest.n_double_val > 0:
        values = .doubles(array(rest.double_val, rest.n_double_val))
        rest.n_double_val = 0
      case .int32, .uint8, .int8, .int16, .uint16:
        guard rest.n_int_val > 0 else { break }
        values = .ints(array(rest.int_val, rest.n_int_val))
        rest.n_int_val = 0
      case .float16, .bfloat16:
        guard rest.n_half_val > 0 else { break }
        values = .halves(array(rest.half_val, rest.n_half_val))
        rest.n_half_val = 0
      case .int64 where rest.n_int64_val > 0:
        values = .int64s(array(rest.int64_val, rest.n_int64_val))
        rest.n_int64_val = 0
      case .bool where rest.n_bool_val > 0:
        values = .bools(array(rest.bool_val, rest.n_bool_val).map { $0 != 0 })
        rest.n_bool_val = 0
      default: break
      }
    }
    otherFields = MartletFormats.otherFields(&rest)
  }

  /// All elements as a tensor where the bytes are as many as they should be, else the bytes.
  private static func content(_ data: ProtobufCBinaryData, _ elementType: ElementType?, _ extents: [Int]?) -> Values {
    guard let elementType, let extents,
      Tensor.checkedByteCount(elementType: elementType, shape: extents) == data.len
    else { return .content(array(data)) }
    var tensor = Tensor(uninitialized: elementType, shape: extents)
    tensor.withUnsafeMutableBytes { bytes in
      bytes.copyMemory(from: UnsafeRawBufferPointer(start: data.data, count: data.len))
      // A boolean in memory is 0 or 1; a file may have any byte.
      if elementType == .bool { for i in bytes.indices where bytes[i] > 1 { bytes[i] = 1 } }
    }
    return .dense(tensor)
  }
}

extension AttributeRecord {
  init(_ message: UnsafePointer<Tensorflow__AttrValue>) {
    let value = message.pointee
    self =
      switch value.value_case {
      case TENSORFLOW__ATTR_VALUE__VALUE_LIST: .list(ListRecord(value.list))
      case TENSORFLOW__ATTR_VALUE__VALUE_S: .bytes(array(value.s))
      case TENSORFLOW__ATTR_VALUE__VALUE_I: .int(value.i)
      case TENSORFLOW__ATTR_VALUE__VALUE_F: .float(value.f)
      case TENSORFLOW__ATTR_VALUE__VALUE_B: .bool(value.b != 0)
      case TENSORFLOW__ATTR_VALUE__VALUE_TYPE: .type(Int32(bitPattern: value.type.rawValue))
      case TENSORFLOW__ATTR_VALUE__VALUE_SHAPE: .shape(ShapeRecord(value.shape))
      case TENSORFLOW__ATTR_VALUE__VALUE_TENSOR: .tensor(TensorRecord(value.tensor))
      case TENSORFLOW__ATTR_VALUE__VALUE_PLACEHOLDER: .placeholder(String(field: value.placeholder))
      case TENSORFLOW__ATTR_VALUE__VALUE_FUNC: .function(FunctionReference(value.func))
      default: .unknown(Self.unknownFields(value))
      }
  }

  private static func unknownFields(_ value: Tensorflow__AttrValue) -> [FieldRecord] {
    var rest = value
    return otherFields(&rest)
  }
}

extension ListRecord {
  init(_ message: UnsafePointer<Tensorflow__AttrValue__ListValue>) {
    var rest = message.pointee
    bytes = array(rest.s, rest.n_s).map { array($0) }
    ints = array(rest.i, rest.n_i)
    floats = array(rest.f, rest.n_f)
    bools = array(rest.b, rest.n_b).map { $0 != 0 }
    types = array(rest.type, rest.n_type).map { Int32(bitPattern: $0.rawValue) }
    shapes = array(rest.shape, rest.n_shape) { ShapeRecord($0) }
    tensors = array(rest.tensor, rest.n_tensor) { TensorRecord($0) }
    functions = array(rest.func, rest.n_func) { FunctionReference($0) }
    (rest.n_s, rest.n_i, rest.n_f, rest.n_b) = (0, 0, 0, 0)
    (rest.n_type, rest.n_shape, rest.n_tensor, rest.n_func) = (0, 0, 0, 0)
    otherFields = MartletFormats.otherFields(&rest)
  }
}

extension NamedAttribute {
  init<Entry: AttributeEntry>(_ entry: UnsafePointer<Entry>) {
    self.init(String(field: entry.pointee.key), entry.pointee.value.map { AttributeRecord($0) } ?? .unknown([]))
  }
}

extension FunctionReference {
  init(_ message: UnsafePointer<Tensorflow__NameAttrList>) {
    var rest = message.pointee
    self.init(name: String(field: rest.name), attributes: array(rest.attr, rest.n_attr) { NamedAttribute($0) })
    rest.name = nil
    rest.n_attr = 0
    otherFields = MartletFormats.otherFields(&rest)
  }
}

extension NodeRecord {
  init(_ message: UnsafePointer<Tensorflow__NodeDef>) {
    var rest = message.pointee
    self.init(
      name: String(field: rest.name), op: String(field: rest.op),
      inputs: array(rest.input, rest.n_input) { String(field: $0) }, device: String(field: rest.device),
      attributes: array(rest.attr, rest.n_attr) { NamedAttribute($0) })
    (rest.name, rest.op, rest.device) = (nil, nil, nil)
    (rest.n_input, rest.n_attr) = (0, 0)
    otherFields = MartletFormats.otherFields(&rest)
  }
}

extension SignatureRecord {
  init(_ message: UnsafePointer<Tensorflow__OpDef>) {
    var rest = message.pointee
    self.init(
      name: String(field: rest.name), inputs: array(rest.input_arg, rest.n_input_arg) { Argument($0) },
      outputs: array(rest.output_arg, rest.n_output_arg) { Argument($0) })
    attributes = array(rest.attr, rest.n_attr) { Attribute($0) }
    controlOutputs = array(rest.control_output, rest.n_control_output) { String(field: $0) }
    summary = String(field: rest.summary)
    description = String(field: rest.description)
    isStateful = rest.is_stateful != 0
    isAggregate = rest.is_aggregate != 0
    isCommutative = rest.is_commutative != 0
    allowsUninitializedInput = rest.allows_uninitialized_input != 0
    (rest.name, rest.summary, rest.description) = (nil, nil, nil)
    (rest.n_input_arg, rest.n_output_arg, rest.n_attr, rest.n_control_output) = (0, 0, 0, 0)
    (rest.is_stateful, rest.is_aggregate, rest.is_commutative, rest.allows_uninitialized_input) = (0, 0, 0, 0)
    otherFields = MartletFormats.otherFields(&rest)
  }
}

extension SignatureRecord.Argument {
  init(_ message: UnsafePointer<Tensorflow__OpDef__ArgDef>) {
    var rest = message.pointee
    self.init(name: String(field: rest.name), type: Int32(bitPattern: rest.type.rawValue))
    description = String(field: rest.description)
    typeAttribute = String(field: rest.type_attr)
    numberAttribute = String(field: rest.number_attr)
    typeListAttribute = String(field: rest.type_list_attr)
    isReference = rest.is_ref != 0
    (rest.name, rest.description) = (nil, nil)
    (rest.type_attr, rest.number_attr, rest.type_list_attr) = (nil, nil, nil)
    rest.type = TENSORFLOW__DATA_TYPE__DT_INVALID
    rest.is_ref = 0
    otherFields = MartletFormats.otherFields(&rest)
  }
}

extension SignatureRecord.Attribute {
  init(_ message: UnsafePointer<Tensorflow__OpDef__AttrDef>) {
    var rest = message.pointee
    self.init(name: String(field: rest.name), type: String(field: rest.type))
    defaultValue = rest.default_value.map { AttributeRecord($0) }
    description = String(field: rest.description)
    minimum = rest.has_minimum != 0 ? rest.minimum : nil
    allowedValues = rest.allowed_values.map { AttributeRecord($0) }
    (rest.name, rest.type, rest.description) = (nil, nil, nil)
    (rest.default_value, rest.allowed_values) = (nil, nil)
    (rest.has_minimum, rest.minimum) = (0, 0)
    otherFields = MartletFormats.otherFields(&rest)
  }
}

extension FunctionRecord.Binding {
  init<Entry: BindingEntry>(_ entry: UnsafePointer<Entry>) {
    self.init(String(field: entry.pointee.key), String(field: entry.pointee.value))
  }
}

extension FunctionRecord {
  init(_ message: UnsafePointer<Tensorflow__FunctionDef>) {
    var rest = message.pointee
    self.init(
      signature: rest.signature.map { SignatureRecord($0) } ?? SignatureRecord(name: ""),
      nodes: array(rest.node_def, rest.n_node_def) { NodeRecord($0) },
      returns: array(rest.ret, rest.n_ret) { Binding($0) })
    controlReturns = array(rest.control_ret, rest.n_control_ret) { Binding($0) }
    attributes = array(rest.attr, rest.n_attr) { NamedAttribute($0) }
    argumentAttributes = array(rest.arg_attr, rest.n_arg_attr) { entry in
      ArgumentAttributes(
        position: entry.pointee.key,
        attributes: entry.pointee.value.map { value in
          array(value.pointee.attr, value.pointee.n_attr) { NamedAttribute($0) }
        } ?? [])
    }
    rest.signature = nil
    rest.n_arg_attr = 0
    (rest.n_node_def, rest.n_ret, rest.n_control_ret, rest.n_attr) = (0, 0, 0, 0)
    otherFields = MartletFormats.otherFields(&rest)
  }
}

extension GraphDefRecord.Versions {
  init(_ message: UnsafePointer<Tensorflow__VersionDef>) {
    var rest = message.pointee
    self.init(producer: rest.producer, minimumConsumer: rest.min_consumer)
    badConsumers = array(rest.bad_consumers, rest.n_bad_consumers)
    (rest.producer, rest.min_consumer, rest.n_bad_consumers) = (0, 0, 0)
    otherFields = MartletFormats.otherFields(&rest)
  }
}
