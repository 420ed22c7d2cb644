/// An `AttrValue`: the value of one attribute of a node or a function.
///
/// Two floats are the same where their bits are, so that NaN equals itself and 0.0 is not -0.0.
public enum AttributeRecord: Sendable {
  /// A string of bytes, such as "SAME"; not necessarily text.
  case bytes([UInt8])
  case int(Int64)
  case float(Float)
  case bool(Bool)
  /// An element type by TensorFlow's number.
  case type(Int32)
  indirect case shape(ShapeRecord)
  indirect case tensor(TensorRecord)
  /// The name of the attribute of the enclosing function whose value belongs here.
  case placeholder(String)
  indirect case function(FunctionReference)
  indirect case list(ListRecord)
  /// A value of a kind that Martlet does not know, or none at all.
  case unknown([FieldRecord])

  /// A string of bytes, from text.
  public static func string(_ text: String) -> AttributeRecord { .bytes(Array(text.utf8)) }

  /// What kind of value this is, as a word for messages.
  public var kind: String {
    switch self {
    case .bytes: "string"
    case .int: "int"
    case .float: "float"
    case .bool: "bool"
    case .type: "type"
    case .shape: "shape"
    case .tensor: "tensor"
    case .placeholder: "placeholder"
    case .function: "func"
    case .list: "list"
    case .unknown(let fields): fields.isEmpty ? "nothing" : "unknown"
    }
  }
}

extension AttributeRecord: Equatable {
  public static func == (a: AttributeRecord, b: AttributeRecord) -> Bool {
    switch (a, b) {
    case (.bytes(let a), .bytes(let b)): a == b
    case (.int(let a), .int(let b)): a == b
    case (.float(let a), .float(let b)): a.bitPattern == b.bitPattern
    case (.bool(let a), .bool(let b)): a == b
    case (.type(let a), .type(let b)): a == b
    case (.shape(let a), .shape(let b)): a == b
    case (.tensor(let a), .tensor(let b)): a == b
    case (.placeholder(let a), .placeholder(let b)): a == b
    case (.function(let a), .function(let b)): a == b
    case (.list(let a), .list(let b)): a == b
    case (.unknown(let a), .unknown(let b)): a == b
    default: false
    }
  }
}

/// An attribute with its name.
public struct NamedAttribute: Equatable, Sendable {
  public var name: String
  public var value: AttributeRecord

  public init(_ name: String, _ value: AttributeRecord) {
    self.name = name
    self.value = value
  }
}

extension [NamedAttribute] {
  /// The value of the attribute with a name. Of several with one name the last one counts, as in protobuf's maps.
  public subscript(name: String) -> AttributeRecord? {
    last { $0.name == name }?.value
  }
}

/// A `NameAttrList`: a function by name, with the attributes that it is called with.
public struct FunctionReference: Equatable, Sendable {
  public var name: String
  public var attributes: [NamedAttribute]
  /// Fields that Martlet does not read.
  public var otherFields: [FieldRecord] = []

  public init(name: String, attributes: [NamedAttribute] = []) {
    self.name = name
    self.attributes = attributes
  }
}

/// An `AttrValue.ListValue`: at most one of the arrays has elements, and an empty list does not say of what.
public struct ListRecord: Sendable {
  public var bytes: [[UInt8]] = []
  public var ints: [Int64] = []
  public var floats: [Float] = []
  public var bools: [Bool] = []
  /// Element types by TensorFlow's numbers.
  public var types: [Int32] = []
  public var shapes: [ShapeRecord] = []
  public var tensors: [TensorRecord] = []
  public var functions: [FunctionReference] = []
  /// Fields that Martlet does not read.
  public var otherFields: [FieldRecord] = []

  public init() {}

  public init(ints: [Int64]) { self.ints = ints }

  public init(types: [Int32]) { self.types = types }

  public init(shapes: [ShapeRecord]) { self.shapes = shapes }
}

extension ListRecord: Equatable {
  public static func == (a: ListRecord, b: ListRecord) -> Bool {
    a.bytes == b.bytes && a.ints == b.ints && a.floats.elementsEqual(b.floats) { $0.bitPattern == $1.bitPattern }
      && a.bools == b.bools && a.types == b.types && a.shapes == b.shapes && a.tensors == b.tensors
      && a.functions == b.functions && a.otherFields == b.otherFields
  }
}
