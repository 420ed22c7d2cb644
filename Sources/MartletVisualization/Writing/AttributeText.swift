import MartletGraph
import MartletTensors

/// Short texts of constants, attributes and types, for labels and tooltips.
enum AttributeText {
  static func short(_ constant: Constant?) -> String {
    guard let tensor = constant?.tensor else { return "?" }
    guard tensor.elementType.isComputable, tensor.elementCount <= 8 else {
      return "\(tensor.elementType.name) \(extents(tensor.type))"
    }
    let elements = tensor.doubles().map { number($0) }
    return tensor.shape.isEmpty ? elements[0] : "[\(elements.joined(separator: ", "))]"
  }

  static func short(_ value: AttributeValue) -> String {
    switch value {
    case .bool(let x): "\(x)"
    case .int(let x): "\(x)"
    case .float(let x): "\(x)"
    case .string(let x): String(decoding: x, as: UTF8.self)
    case .type(let x): x.name
    case .shape(let x): "\(x)"
    case .tensor(let x): short(x)
    case .function(let x): "@\(x)"
    case .list(let x): "[\(x.prefix(16).map(short).joined(separator: ", "))\(x.count > 16 ? ", …" : "")]"
    case .opaque(let x): "\(x.count) bytes"
    }
  }

  /// `?×28×28×1`.
  static func extents(_ type: TensorType) -> String {
    guard let dimensions = type.shape.dimensions else { return "[...]" }
    let sizes = dimensions.map { $0.known.map(String.init) ?? "?" }
    return sizes.isEmpty ? "scalar" : sizes.joined(separator: "×")
  }

  /// The extents, with the element type before them where it is not the most common one.
  static func short(_ type: TensorType) -> String {
    type.elementType == .float32 ? extents(type) : "\(type.elementType.name) \(extents(type))"
  }

  /// `512 B`, `1.5 KB`, `24 MB`.
  static func bytes(_ count: Int) -> String {
    var value = Double(count)
    var unit = 0
    while value >= 1000, unit < 4 {
      value /= 1024
      unit += 1
    }
    let digits = value >= 10 || unit == 0 ? "\(Int(value.rounded()))" : "\((value * 10).rounded() / 10)"
    return "\(digits) \(["B", "KB", "MB", "GB", "TB"][unit])"
  }

  private static func number(_ x: Double) -> String {
    x == x.rounded() && abs(x) < 1e15 ? String(Int(x)) : "\(Float(x))"
  }
}
