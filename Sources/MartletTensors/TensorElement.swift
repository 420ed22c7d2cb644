/// A Swift type whose values are elements of tensors.
public protocol TensorElement: Sendable {
  /// The element type of a tensor of such values.
  static var elementType: ElementType { get }
}

extension Float: TensorElement {
  public static var elementType: ElementType { .float32 }
}

extension Double: TensorElement {
  public static var elementType: ElementType { .float64 }
}

extension Float16: TensorElement {
  public static var elementType: ElementType { .float16 }
}

extension BFloat16: TensorElement {
  public static var elementType: ElementType { .bfloat16 }
}

extension Int32: TensorElement {
  public static var elementType: ElementType { .int32 }
}

extension Int64: TensorElement {
  public static var elementType: ElementType { .int64 }
}

extension UInt8: TensorElement {
  public static var elementType: ElementType { .uint8 }
}

extension Bool: TensorElement {
  public static var elementType: ElementType { .bool }
}
