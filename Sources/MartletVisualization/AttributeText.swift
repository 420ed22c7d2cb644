import MartletGraph
import MartletTensors

/// Short texts of constants and attributes, for labels and tooltips.
enum AttributeText {
  static func short(_ constant: Constant?) -> String {
    guard let tensor = constant?.tensor else { return "?" }
    guard tensor.elementType.isComputable, tensor.elementCount <= 8 else {
      return "\(tensor.elementType.name)\(tensor.shape)"
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
    case .list(let x): "[\(x.map(short).joined(separator: ", "))]"
    case .opaque(let x): "\(x.count) bytes"
    }
  }

  static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: false
    }
  }

  /// Lines of about `width` characters, broken at the pluses of a kernel's label; at most six.
  static func wrapped(_ text: String, width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for part in text.split(separator: "+") {
      if !line.isEmpty, line.count + part.count > width {
        lines.append(line + " +")
        line = ""
      }
      line += line.isEmpty ? String(part) : " + \(part)"
    }
    if !line.isEmpty { lines.append(line) }
    return lines.count <= 6 ? lines : Array(lines.prefix(5)) + ["… \(lines.count - 5) more lines"]
  }

  private static func number(_ x: Double) -> String {
    x == x.rounded() && abs(x) < 1e15 ? String(Int(x)) : "\(Float(x))"
  }
}
