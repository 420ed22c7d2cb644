/// The type of a tensor's elements.
///
/// Martlet computes with the types for which ``isComputable`` is true. The others can be named, so that a file that
/// mentions them can be read, inspected and written again, and a message can say what is not supported.
public enum ElementType: UInt8, Sendable, Hashable, CaseIterable, Codable {
  case float32, float64, int32, int64, uint8, bool
  case int8, int16, uint16, uint32, uint64, float16, bfloat16, complex64, complex128, string

  /// What is known of one type, kept together so that no property lists the types a second time.
  private struct Traits {
    let name: String
    let byteWidth: Int
    let tensorFlowCode: Int32
    let kind: Kind
    var isComputable = false
  }

  private enum Kind { case floatingPoint, signedInteger, unsignedInteger, boolean, complex, string }

  private var traits: Traits {
    switch self {
    case .float32: Traits(name: "float32", byteWidth: 4, tensorFlowCode: 1, kind: .floatingPoint, isComputable: true)
    case .float64: Traits(name: "float64", byteWidth: 8, tensorFlowCode: 2, kind: .floatingPoint, isComputable: true)
    case .int32: Traits(name: "int32", byteWidth: 4, tensorFlowCode: 3, kind: .signedInteger, isComputable: true)
    case .int64: Traits(name: "int64", byteWidth: 8, tensorFlowCode: 9, kind: .signedInteger, isComputable: true)
    case .uint8: Traits(name: "uint8", byteWidth: 1, tensorFlowCode: 4, kind: .unsignedInteger, isComputable: true)
    case .bool: Traits(name: "bool", byteWidth: 1, tensorFlowCode: 10, kind: .boolean, isComputable: true)
    case .int8: Traits(name: "int8", byteWidth: 1, tensorFlowCode: 6, kind: .signedInteger)
    case .int16: Traits(name: "int16", byteWidth: 2, tensorFlowCode: 5, kind: .signedInteger)
    case .uint16: Traits(name: "uint16", byteWidth: 2, tensorFlowCode: 17, kind: .unsignedInteger)
    case .uint32: Traits(name: "uint32", byteWidth: 4, tensorFlowCode: 22, kind: .unsignedInteger)
    case .uint64: Traits(name: "uint64", byteWidth: 8, tensorFlowCode: 23, kind: .unsignedInteger)
    case .float16: Traits(name: "float16", byteWidth: 2, tensorFlowCode: 19, kind: .floatingPoint, isComputable: true)
    case .bfloat16: Traits(name: "bfloat16", byteWidth: 2, tensorFlowCode: 14, kind: .floatingPoint, isComputable: true)
    case .complex64: Traits(name: "complex64", byteWidth: 8, tensorFlowCode: 8, kind: .complex)
    case .complex128: Traits(name: "complex128", byteWidth: 16, tensorFlowCode: 18, kind: .complex)
    case .string: Traits(name: "string", byteWidth: 0, tensorFlowCode: 7, kind: .string)
    }
  }

  /// The bytes that one element occupies in a dense array; 0 for ``string``, whose elements have no fixed size.
  public var byteWidth: Int { traits.byteWidth }

  /// Whether operations can compute with this type.
  public var isComputable: Bool { traits.isComputable }

  /// Whether this is a real floating-point type.
  public var isFloatingPoint: Bool { traits.kind == .floatingPoint }

  /// Whether this is a floating-point type of 16 bits. Its elements are kept in 16 bits and computed with in ``float32``.
  public var isHalf: Bool { isFloatingPoint && byteWidth == 2 }

  /// The type in which operations compute with elements of this type.
  public var arithmeticType: ElementType { isHalf ? .float32 : self }

  /// The binary digits of a floating-point type's significand, the leading one included; 0 for other types.
  public var significandWidth: Int {
    switch self {
    case .float16: Float16.significandBitCount + 1
    case .bfloat16: BFloat16.significandBitCount + 1
    case .float32: Float.significandBitCount + 1
    case .float64: Double.significandBitCount + 1
    default: 0
    }
  }

  /// The greatest finite number of a floating-point type; 0 for other types.
  public var greatestFiniteMagnitude: Double {
    switch self {
    case .float16: Double(Float16.greatestFiniteMagnitude)
    case .bfloat16: Double(BFloat16.greatestFiniteMagnitude.float)
    case .float32: Double(Float.greatestFiniteMagnitude)
    case .float64: .greatestFiniteMagnitude
    default: 0
    }
  }

  /// The least positive number of a floating-point type, which is subnormal; 0 for other types.
  public var leastNonzeroMagnitude: Double {
    switch self {
    case .float16: Double(Float16.leastNonzeroMagnitude)
    case .bfloat16: Double(BFloat16.leastNonzeroMagnitude.float)
    case .float32: Double(Float.leastNonzeroMagnitude)
    case .float64: .leastNonzeroMagnitude
    default: 0
    }
  }

  /// Whether this is an integer type; ``bool`` is not.
  public var isInteger: Bool { traits.kind == .signedInteger || traits.kind == .unsignedInteger }

  /// Whether this is a complex type.
  public var isComplex: Bool { traits.kind == .complex }

  /// Whether values of this type can be negative.
  public var isSigned: Bool {
    switch traits.kind {
    case .floatingPoint, .signedInteger, .complex: true
    case .unsignedInteger, .boolean, .string: false
    }
  }

  /// The name used in text and messages, as NumPy spells it, such as `float32`.
  public var name: String { traits.name }

  /// The number that TensorFlow's `DataType` enumeration gives this type.
  public var tensorFlowCode: Int32 { traits.tensorFlowCode }

  /// The type that TensorFlow's `DataType` enumeration gives this number, or nil where Martlet has no such type.
  public init?(tensorFlowCode: Int32) {
    guard let match = Self.allCases.first(where: { $0.tensorFlowCode == tensorFlowCode }) else { return nil }
    self = match
  }

  /// The type with this name, as given by ``name``.
  public init?(name: String) {
    guard let match = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = match
  }
}

extension ElementType: CustomStringConvertible {
  public var description: String { name }
}
