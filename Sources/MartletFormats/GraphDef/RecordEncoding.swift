import CMartletProtos
import MartletDiagnostics
import MartletTensors

/// Builds from records the structs that libprotobuf-c packs. They live in an arena, and point to the elements of the
/// records' tensors, so that a struct must not outlive its record.
struct RecordEncoder {
  let arena: MessageArena

  /// A name that cannot be written, as a mistake of the user's.
  private static func refused(_ text: String) -> Diagnostic {
    Diagnostic("\(text.debugDescription) has a NUL in it, which a GraphDef cannot hold in a name")
  }

  private func new<Message>(_ initialize: (UnsafeMutablePointer<Message>) -> Void) -> UnsafeMutablePointer<Message> {
    let message = arena.allocate(Message.self, count: 1)!
    initialize(message)
    return message
  }

  private func string(_ text: String) throws -> UnsafeMutablePointer<CChar> {
    var text = text
    let copy = text.withUTF8 { utf8 -> UnsafeMutablePointer<CChar>? in
      guard !utf8.contains(0) else { return nil }
      let copy = arena.allocate(CChar.self, count: utf8.count + 1)!
      utf8.withMemoryRebound(to: CChar.self) { copy.update(from: $0.baseAddress!, count: $0.count) }
      copy[utf8.count] = 0
      return copy
    }
    guard let copy else { throw Self.refused(text) }
    return copy
  }

  private func data(_ bytes: UnsafeRawBufferPointer) -> ProtobufCBinaryData {
    guard let source = bytes.baseAddress, !bytes.isEmpty else { return ProtobufCBinaryData() }
    let copy = arena.allocate(UInt8.self, count: bytes.count)!
    UnsafeMutableRawPointer(copy).copyMemory(from: source, byteCount: bytes.count)
    return ProtobufCBinaryData(len: bytes.count, data: copy)
  }

  private func array<T, U>(_ values: [T], _ transform: (T) throws -> U) rethrows -> UnsafeMutablePointer<U>? {
    guard !values.isEmpty else { return nil }
    let copy = arena.allocate(U.self, count: values.count)!
    for (i, value) in values.enumerated() { (copy + i).initialize(to: try transform(value)) }
    return copy
  }

  private func attach(_ fields: [FieldRecord], to message: inout ProtobufCMessage) {
    guard !fields.isEmpty else { return }
    message.n_unknown_fields = UInt32(fields.count)
    message.unknown_fields = array(fields) { field in
      let data = field.bytes.withUnsafeBytes { self.data($0) }
      return ProtobufCMessageUnknownField(
        tag: field.number, wire_type: ProtobufCWireType(rawValue: UInt32(field.wireType)), len: data.len,
        data: data.data)
    }
  }

  func message(_ shape: ShapeRecord) throws -> UnsafeMutablePointer<Tensorflow__TensorShapeProto> {
    let message = new(tensorflow__tensor_shape_proto__init)
    message.pointee.n_dim = shape.dimensions.count
    message.pointee.dim = try array(shape.dimensions) { dimension in
      let message = new(tensorflow__tensor_shape_proto__dim__init)
      message.pointee.size = dimension.size
      message.pointee.name = try string(dimension.name)
      return message
    }
    message.pointee.unknown_rank = shape.hasUnknownRank ? 1 : 0
    attach(shape.otherFields, to: &message.pointee.base)
    return message
  }

  func message(_ tensor: TensorRecord) throws -> UnsafeMutablePointer<Tensorflow__TensorProto> {
    let message = new(tensorflow__tensor_proto__init)
    message.pointee.dtype = Tensorflow__DataType(rawValue: UInt32(bitPattern: tensor.type))
    message.pointee.tensor_shape = try self.message(tensor.shape)
    switch tensor.values {
    case .none: break
    case .dense(let tensor):
      // Not copied: the record keeps the tensor, and thereby its memory, until the message is packed.
      message.pointee.tensor_content = ProtobufCBinaryData(
        len: tensor.byteCount, data: tensor.storage.bytes.assumingMemoryBound(to: UInt8.self))
    case .content(let bytes): message.pointee.tensor_content = bytes.withUnsafeBytes { data($0) }
    case .floats(let values):
      message.pointee.n_float_val = values.count
      message.pointee.float_val = array(values) { $0 }
    case .doubles(let values):
      message.pointee.n_double_val = values.count
      message.pointee.double_val = array(values) { $0 }
    case .ints(let values):
      message.pointee.n_int_val = values.count
      message.pointee.int_val = array(values) { $0 }
    case .halves(let values):
      message.pointee.n_half_val = values.count
      message.pointee.half_val = array(values) { $0 }
    case .int64s(let values):
      message.pointee.n_int64_val = values.count
      message.pointee.int64_val = array(values) { $0 }
    case .bools(let values):
      message.pointee.n_bool_val = values.count
      message.pointee.bool_val = array(values) { $0 ? 1 : 0 }
    }
    attach(tensor.otherFields, to: &message.pointee.base)
    return message
  }

  func message(_ list: ListRecord, depth: Int) throws -> UnsafeMutablePointer<Tensorflow__AttrValue__ListValue> {
    let message = new(tensorflow__attr_value__list_value__init)
    message.pointee.n_s = list.bytes.count
    message.pointee.s = array(list.bytes) { $0.withUnsafeBytes { data($0) } }
    message.pointee.n_i = list.ints.count
    message.pointee.i = array(list.ints) { $0 }
    message.pointee.n_f = list.floats.count
    message.pointee.f = array(list.floats) { $0 }
    message.pointee.n_b = list.bools.count
    message.pointee.b = array(list.bools) { $0 ? 1 : 0 }
    message.pointee.n_type = list.types.count
    message.pointee.type = array(list.types) { Tensorflow__DataType(rawValue: UInt32(bitPattern: $0)) }
    message.pointee.n_shape = list.shapes.count
    message.pointee.shape = try array(list.shapes) { try self.message($0) }
    message.pointee.n_tensor = list.tensors.count
    message.pointee.tensor = try array(list.tensors) { try self.message($0) }
    message.pointee.n_func = list.functions.count
    message.pointee.func = try array(list.functions) { try self.message($0, depth: depth + 1) }
    attach(list.otherFields, to: &message.pointee.base)
    return message
  }

  func message(_ attribute: AttributeRecord, depth: Int) throws -> UnsafeMutablePointer<Tensorflow__AttrValue> {
    guard depth < WireChecker.depthLimit - 4 else {
      throw Diagnostic("The functions in an attribute nest deeper than a GraphDef's \(WireChecker.depthLimit) levels")
    }
    let message = new(tensorflow__attr_value__init)
    switch attribute {
    case .bytes(let bytes):
      message.pointee.value_case = TENSORFLOW__ATTR_VALUE__VALUE_S
      message.pointee.s = bytes.withUnsafeBytes { data($0) }
    case .int(let value):
      message.pointee.value_case = TENSORFLOW__ATTR_VALUE__VALUE_I
      message.pointee.i = value
    case .float(let value):
      message.pointee.value_case = TENSORFLOW__ATTR_VALUE__VALUE_F
      message.pointee.f = value
    case .bool(let value):
      message.pointee.value_case = TENSORFLOW__ATTR_VALUE__VALUE_B
      message.pointee.b = value ? 1 : 0
    case .type(let type):
      message.pointee.value_case = TENSORFLOW__ATTR_VALUE__VALUE_TYPE
      message.pointee.type = Tensorflow__DataType(rawValue: UInt32(bitPattern: type))
    case .shape(let shape):
      message.pointee.value_case = TENSORFLOW__ATTR_VALUE__VALUE_SHAPE
      message.pointee.shape = try self.message(shape)
    case .tensor(let tensor):
      message.pointee.value_case = TENSORFLOW__ATTR_VALUE__VALUE_TENSOR
      message.pointee.tensor = try self.message(tensor)
    case .placeholder(let name):
      message.pointee.value_case = TENSORFLOW__ATTR_VALUE__VALUE_PLACEHOLDER
      message.pointee.placeholder = try string(name)
    case .function(let function):
      message.pointee.value_case = TENSORFLOW__ATTR_VALUE__VALUE_FUNC
      message.pointee.func = try self.message(function, depth: depth + 1)
    case .list(let list):
      message.pointee.value_case = TENSORFLOW__ATTR_VALUE__VALUE_LIST
      message.pointee.list = try self.message(list, depth: depth + 1)
    case .unknown(let fields):
      attach(fields, to: &message.pointee.base)
    }
    return message
  }

  func message(_ function: FunctionReference, depth: Int) throws -> UnsafeMutablePointer<Tensorflow__NameAttrList> {
    let message = new(tensorflow__name_attr_list__init)
    message.pointee.name = try string(function.name)
    message.pointee.n_attr = function.attributes.count
    message.pointee.attr = try entries(function.attributes, depth: depth + 1)
    attach(function.otherFields, to: &message.pointee.base)
    return message
  }

  /// The entries of a map, in the order of their names, so that one graph always gives the same file.
  private func entries<Entry: AttributeEntry>(
    _ attributes: [NamedAttribute], depth: Int
  ) throws -> UnsafeMutablePointer<UnsafeMutablePointer<Entry>?>? {
    let isSorted = zip(attributes, attributes.dropFirst()).allSatisfy { $0.name <= $1.name }
    return try array(isSorted ? attributes : attributes.sorted { $0.name < $1.name }) { attribute in
      let entry = new(Entry.initialize)
      entry.pointee.key = try string(attribute.name)
      entry.pointee.value = try message(attribute.value, depth: depth + 1)
      return entry
    }
  }

  private func entries<Entry: BindingEntry>(
    _ bindings: [FunctionRecord.Binding]
  ) throws -> UnsafeMutablePointer<UnsafeMutablePointer<Entry>?>? {
    try array(bindings.sorted { $0.name < $1.name }) { binding in
      let entry = new(Entry.initialize)
      entry.pointee.key = try string(binding.name)
      entry.pointee.value = try string(binding.value)
      return entry
    }
  }

  func message(_ node: NodeRecord, depth: Int = 0) throws -> UnsafeMutablePointer<Tensorflow__NodeDef> {
    let message = new(tensorflow__node_def__init)
    message.pointee.name = try string(node.name)
    message.pointee.op = try string(node.op)
    message.pointee.n_input = node.inputs.count
    message.pointee.input = try array(node.inputs) { try string($0) }
    message.pointee.device = try string(node.device)
    message.pointee.n_attr = node.attributes.count
    message.pointee.attr = try entries(node.attributes, depth: depth + 1)
    attach(node.otherFields, to: &message.pointee.base)
    return message
  }

  private func message(_ argument: SignatureRecord.Argument) throws -> UnsafeMutablePointer<Tensorflow__OpDef__ArgDef> {
    let message = new(tensorflow__op_def__arg_def__init)
    message.pointee.name = try string(argument.name)
    message.pointee.description = try string(argument.description)
    message.pointee.type = Tensorflow__DataType(rawValue: UInt32(bitPattern: argument.type))
    message.pointee.type_attr = try string(argument.typeAttribute)
    message.pointee.number_attr = try string(argument.numberAttribute)
    message.pointee.type_list_attr = try string(argument.typeListAttribute)
    message.pointee.is_ref = argument.isReference ? 1 : 0
    attach(argument.otherFields, to: &message.pointee.base)
    return message
  }

  private func message(
    _ attribute: SignatureRecord.Attribute
  ) throws -> UnsafeMutablePointer<Tensorflow__OpDef__AttrDef> {
    let message = new(tensorflow__op_def__attr_def__init)
    message.pointee.name = try string(attribute.name)
    message.pointee.type = try string(attribute.type)
    message.pointee.default_value = try attribute.defaultValue.map { try self.message($0, depth: 4) }
    message.pointee.description = try string(attribute.description)
    message.pointee.has_minimum = attribute.minimum == nil ? 0 : 1
    message.pointee.minimum = attribute.minimum ?? 0
    message.pointee.allowed_values = try attribute.allowedValues.map { try self.message($0, depth: 4) }
    attach(attribute.otherFields, to: &message.pointee.base)
    return message
  }

  func message(_ signature: SignatureRecord) throws -> UnsafeMutablePointer<Tensorflow__OpDef> {
    let message = new(tensorflow__op_def__init)
    message.pointee.name = try string(signature.name)
    message.pointee.n_input_arg = signature.inputs.count
    message.pointee.input_arg = try array(signature.inputs) { try self.message($0) }
    message.pointee.n_output_arg = signature.outputs.count
    message.pointee.output_arg = try array(signature.outputs) { try self.message($0) }
    message.pointee.n_attr = signature.attributes.count
    message.pointee.attr = try array(signature.attributes) { try self.message($0) }
    message.pointee.n_control_output = signature.controlOutputs.count
    message.pointee.control_output = try array(signature.controlOutputs) { try string($0) }
    message.pointee.summary = try string(signature.summary)
    message.pointee.description = try string(signature.description)
    message.pointee.is_stateful = signature.isStateful ? 1 : 0
    message.pointee.is_aggregate = signature.isAggregate ? 1 : 0
    message.pointee.is_commutative = signature.isCommutative ? 1 : 0
    message.pointee.allows_uninitialized_input = signature.allowsUninitializedInput ? 1 : 0
    attach(signature.otherFields, to: &message.pointee.base)
    return message
  }

  func message(_ function: FunctionRecord) throws -> UnsafeMutablePointer<Tensorflow__FunctionDef> {
    let message = new(tensorflow__function_def__init)
    message.pointee.signature = try self.message(function.signature)
    message.pointee.n_node_def = function.nodes.count
    message.pointee.node_def = try array(function.nodes) { try self.message($0, depth: 2) }
    message.pointee.n_ret = function.returns.count
    message.pointee.ret = try entries(function.returns)
    message.pointee.n_control_ret = function.controlReturns.count
    message.pointee.control_ret = try entries(function.controlReturns)
    message.pointee.n_attr = function.attributes.count
    message.pointee.attr = try entries(function.attributes, depth: 2)
    message.pointee.n_arg_attr = function.argumentAttributes.count
    message.pointee.arg_attr = try array(function.argumentAttributes.sorted { $0.position < $1.position }) { argument in
      let entry = new(tensorflow__function_def__arg_attr_entry__init)
      let value = new(tensorflow__function_def__arg_attrs__init)
      entry.pointee.key = argument.position
      entry.pointee.value = value
      value.pointee.n_attr = argument.attributes.count
      value.pointee.attr = try entries(argument.attributes, depth: 4)
      return entry
    }
    attach(function.otherFields, to: &message.pointee.base)
    return message
  }

  func message(_ versions: GraphDefRecord.Versions) -> UnsafeMutablePointer<Tensorflow__VersionDef> {
    let message = new(tensorflow__version_def__init)
    message.pointee.producer = versions.producer
    message.pointee.min_consumer = versions.minimumConsumer
    message.pointee.n_bad_consumers = versions.badConsumers.count
    message.pointee.bad_consumers = array(versions.badConsumers) { $0 }
    attach(versions.otherFields, to: &message.pointee.base)
    return message
  }

  func message(_ gradient: GraphDefRecord.Gradient) throws -> UnsafeMutablePointer<Tensorflow__GradientDef> {
    let message = new(tensorflow__gradient_def__init)
    message.pointee.function_name = try string(gradient.function)
    message.pointee.gradient_func = try string(gradient.gradient)
    return message
  }
}
