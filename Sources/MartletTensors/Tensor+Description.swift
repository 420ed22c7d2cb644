extension Tensor: CustomStringConvertible {
  /// The type and the elements in nested brackets; of a long dimension, the first and last three.
  ///
  /// `float32[2, 2] [[1.0, 2.0], [3.0, 4.0]]`
  public var description: String {
    let header = "\(elementType)\(shape)"
    guard elementType.isComputable else { return header }
    var text = header + " "
    // A tensor of high rank shows fewer elements of each dimension, and one of very high rank none.
    let edge = [3, 1].first { edge in
      shape.reduce(1) { min($0 * Self.printedCount(of: $1, edge: edge), Self.mostPrinted + 1) } <= Self.mostPrinted
    }
    guard let edge else { return text + "[...]" }
    appendElements(axis: 0, offset: 0, stride: elementCount, edge: edge, to: &text)
    return text
  }

  private static let mostPrinted = 512

  /// How many elements of a dimension are printed: all if they are few, else `edge` at each end.
  private static func printedCount(of extent: Int, edge: Int) -> Int { extent <= 2 * edge + 2 ? extent : 2 * edge }

  private func appendElements(axis: Int, offset: Int, stride: Int, edge: Int, to text: inout String) {
    guard axis < rank else {
      text += elementText(at: offset)
      return
    }
    let extent = shape[axis]
    let inner = extent == 0 ? 0 : stride / extent
    text += "["
    let isShortened = Self.printedCount(of: extent, edge: edge) < extent
    for i in isShortened ? Array(0..<edge) + Array(extent - edge..<extent) : Array(0..<extent) {
      if i > 0 { text += ", " }
      if isShortened, i == extent - edge { text += "..., " }
      appendElements(axis: axis + 1, offset: offset + i * inner, stride: inner, edge: edge, to: &text)
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
      case .float16: "\(load(Float16.self))"
      case .bfloat16: "\(load(BFloat16.self))"
      case .int32: "\(load(Int32.self))"
      case .int64: "\(load(Int64.self))"
      case .uint8: "\(load(UInt8.self))"
      case .bool: load(UInt8.self) == 0 ? "false" : "true"
      default: "?"
      }
    }
  }
}
