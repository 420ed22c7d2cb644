import MartletDiagnostics
import MartletTensors

/// A `TensorProto`: the array in an attribute of a GraphDef, as it is written there.
///
/// A file may say "zeros, 1,000 by 1,000" in a few bytes. Such an array takes its memory only when ``tensor(limit:)`` is
/// called.
public struct TensorRecord: Sendable {
  /// The elements, in one of the forms that a `TensorProto` has for them.
  ///
  /// Where there are fewer values than elements, the last value fills the rest; where there are none, all are zero.
  public enum Values: Sendable {
    /// Nothing, or only fields that Martlet does not read.
    case none
    /// All elements, of a type with a fixed size.
    case dense(Tensor)
    /// Bytes that do not fill the shape, or whose type has no fixed size.
    case content([UInt8])
    case floats([Float])
    case doubles([Double])
    /// Elements of types int32, int16, uint16, int8 and uint8.
    case ints([Int32])
    /// The bit patterns of elements of types float16 and bfloat16, each in its lower half.
    case halves([Int32])
    case int64s([Int64])
    case bools([Bool])
  }

  /// The element type by TensorFlow's number.
  public var type: Int32
  public var shape: ShapeRecord
  public var values: Values
  /// Fields that Martlet does not read, such as the values of strings and complex numbers.
  public var otherFields: [FieldRecord] = []

  public init(type: Int32, shape: ShapeRecord, values: Values) {
    self.type = type
    self.shape = shape
    self.values = values
  }

  /// The record of a tensor: a scalar as a value, anything larger as bytes.
  public init(_ tensor: Tensor) {
    type = tensor.elementType.tensorFlowCode
    shape = ShapeRecord(tensor.shape)
    guard tensor.elementCount > 0 else {
      values = .none
      return
    }
    values =
      if tensor.rank > 0 {
        .dense(tensor)
      } else {
        switch tensor.elementType {
        case .float32: .floats(tensor.scalars())
        case .float64: .doubles(tensor.scalars())
        case .int32: .ints(tensor.scalars())
        case .float16: .halves([Int32(tensor.item(as: Float16.self).bitPattern)])
        case .bfloat16: .halves([Int32(tensor.item(as: BFloat16.self).bitPattern)])
        case .int64: .int64s(tensor.scalars())
        case .uint8: .ints([Int32(tensor.item(as: UInt8.self))])
        case .bool: .bools(tensor.scalars())
        default: .dense(tensor)
        }
      }
  }

  /// The array.
  ///
  /// - Parameter limit: The most bytes that it may take, which a file of a few bytes can ask for.
  /// - Throws: A `Diagnostic` where the type cannot be computed with, the shape is not known, the values do not fit, or the
  ///   array is larger than `limit`.
  public func tensor(limit: Int = Int(Int32.max)) throws -> Tensor {
    guard let elementType = ElementType(tensorFlowCode: type), elementType.isComputable else {
      let name = ElementType(tensorFlowCode: type)?.name ?? "the type with TensorFlow's number \(type)"
      throw Diagnostic("A constant of \(name) cannot be computed with")
    }
    guard let extents = shape.extents else { throw Diagnostic("A constant must have a known shape") }
    guard let byteCount = Tensor.checkedByteCount(elementType: elementType, shape: extents), byteCount <= limit else {
      throw Diagnostic("A constant of shape \(extents) is larger than the \(limit) bytes that are allowed here")
    }
    switch (values, elementType) {
    case (.dense(let tensor), _) where tensor.elementType == elementType && tensor.shape == extents: return tensor
    case (.none, _): return Tensor(zeros: elementType, shape: extents)
    case (.floats(let values), .float32): return try filled(extents, values, zero: 0)
    case (.doubles(let values), .float64): return try filled(extents, values, zero: 0)
    case (.ints(let values), .int32): return try filled(extents, values, zero: 0)
    case (.ints(let values), .uint8): return try filled(extents, values.map { UInt8(truncatingIfNeeded: $0) }, zero: 0)
    case (.halves(let values), .float16):
      return try filled(extents, values.map { Float16(bitPattern: UInt16(truncatingIfNeeded: $0)) }, zero: 0)
    case (.halves(let values), .bfloat16):
      return try filled(extents, values.map { BFloat16(bitPattern: UInt16(truncatingIfNeeded: $0)) }, zero: 0)
    case (.int64s(let values), .int64): return try filled(extents, values, zero: 0)
    case (.bools(let values), .bool): return try filled(extents, values, zero: false)
    case (.content(let bytes), _):
      throw Diagnostic("A constant of \(elementType)\(extents) takes \(byteCount) bytes; the record has \(bytes.count)")
    default:
      throw Diagnostic("A constant of \(elementType)\(extents) has values of another type")
    }
  }

  /// Values, the last of them repeated until the shape is full.
  private func filled<T: TensorElement>(_ extents: [Int], _ values: [T], zero: T) throws -> Tensor {
    if values.count <= 1 { return Tensor(repeating: values.first ?? zero, shape: extents) }
    var tensor = Tensor(uninitialized: T.elementType, shape: extents)
    guard values.count <= tensor.elementCount else {
      throw Diagnostic("A constant of \(T.elementType)\(extents) has \(values.count) values")
    }
    tensor.withUnsafeMutableBufferPointer(of: T.self) { elements in
      let rest = elements.suffix(from: values.count)
      _ = elements.update(fromContentsOf: values)
      UnsafeMutableBufferPointer(rebasing: rest).update(repeating: values[values.count - 1])
    }
    return tensor
  }
}

extension TensorRecord: Equatable {
  public static func == (a: TensorRecord, b: TensorRecord) -> Bool {
    a.type == b.type && a.shape == b.shape && a.values == b.values && a.otherFields == b.otherFields
  }
}

extension TensorRecord.Values: Equatable {
  public static func == (a: Self, b: Self) -> Bool {
    switch (a, b) {
    case (.none, .none): true
    case (.dense(let a), .dense(let b)): a == b
    case (.content(let a), .content(let b)): a == b
    case (.floats(let a), .floats(let b)): a.elementsEqual(b) { $0.bitPattern == $1.bitPattern }
    case (.doubles(let a), .doubles(let b)): a.elementsEqual(b) { $0.bitPattern == $1.bitPattern }
    case (.ints(let a), .ints(let b)): a == b
    case (.halves(let a), .halves(let b)): a == b
    case (.int64s(let a), .int64s(let b)): a == b
    case (.bools(let a), .bools(let b)): a == b
    default: false
    }
  }
}
