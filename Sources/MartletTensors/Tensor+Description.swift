extension Tensor: CustomStringConvertible {
  /// The type and the elements in nested brackets; of a long dimension, the first and last three.
  ///
  /// `float32[2, 2] [[1.0, 2.0], [3.0, 4.0]]`
  public var description: String {
    let header = "\(elementType)\(shape)"
    guard elementType.isComputable else { return header }
    var text = header + " "
    appendElements(axis: 0, offset: 0, stride: elementCount, to: &text)
    return text
  }

  /// How many elements at each end of a dimension are printed where not all are.
  private static let edge = 3

  /// Dimensions up to this extent are printed in full.
  private static let fullExtent = 8

  private func appendElements(axis: Int, offset: Int, stride: Int, to text: inout String) {
    guard axis < rank else {
      text += elementText(at: offset)
      return
    }
    let extent = shape[axis]
    let inner = extent == 0 ? 0 : stride / extent
    text += "["
    for i in 0..<extent where extent <= Self.fullExtent || i < Self.edge || i >= extent - Self.edge {
      if i > 0 { text += ", " }
      if extent > Self.fullExtent, i == extent - Self.edge { text += "..., " }
      appendElements(axis: axis + 1, offset: offset + i * inner, stride: inner, to: &text)
    }
    text += "]"
  }

  private func elementText(at index: Int) -> String {
    withUnsafeBytes { bytes in
      func load<T: BitwiseCopyable>(_ type: T.Type) -> T {
        bytes.loadUnaligned(fromByteOffset: index * elementType.byteWidth, as: type)
      }
      return switch elementType {
      case .float32: "\(load(Float.self))"
      case .float64: "\(load(Double.self))"
      case .int32: "\(load(Int32.self))"
      case .int64: "\(load(Int64.self))"
      case .uint8: "\(load(UInt8.self))"
      case .bool: load(UInt8.self) == 0 ? "false" : "true"
      default: "?"
      }
    }
  }
}
