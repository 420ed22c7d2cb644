import MartletTensors

/// Writes attribute values in the text form. Its grammar is in Docs/IR.md.
struct AttributePrinter {
  /// Arrays with more elements are written as their size only; such text cannot be read back.
  var elementLimit: Int?

  func print(_ value: AttributeValue) -> String {
    switch value {
    case .bool(let x): x ? "true" : "false"
    case .int(let x): String(x)
    case .float(let x): Self.print(x)
    case .string(let bytes): Self.quote(bytes)
    case .type(let type): type.name
    case .shape(let shape): "shape\(Self.print(shape))"
    case .tensor(let constant): print(constant.tensor)
    case .function(let name): "@\(Self.name(name))"
    case .list(let items): "[\(items.map(print).joined(separator: ", "))]"
    case .opaque(let bytes): "bytes \(Self.quote(bytes))"
    }
  }

  /// The shortest text that reads back to the same bits.
  static func print(_ x: Float) -> String {
    x.isNaN ? "float(0x\(String(x.bitPattern, radix: 16)))" : "\(x)"
  }

  static func print(_ shape: Shape) -> String {
    guard let dimensions = shape.dimensions else { return "[*]" }
    return "[\(dimensions.map { $0.known.map(String.init) ?? "?" }.joined(separator: ", "))]"
  }

  static func print(_ type: ValueType) -> String {
    switch type {
    case .tensor(let tensor): "\(tensor.elementType.name)\(print(tensor.shape))"
    case .resource(let content): "variable<\(content.elementType.name)\(print(content.shape))>"
    case .foreign: "foreign"
    case .poison: "error"
    }
  }

  /// A name as it stands behind `%` or `@`: bare if it is made of letters, digits and `_ . / -`, else quoted.
  static func name(_ name: String) -> String {
    let isPlain = !name.isEmpty && name.utf8.allSatisfy { isNameByte($0) }
    return isPlain ? name : quote(Array(name.utf8))
  }

  static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: "-"):
      true
    default: false
    }
  }

  static func quote(_ bytes: [UInt8]) -> String {
    var text = "\""
    for byte in bytes {
      switch byte {
      case UInt8(ascii: "\""): text += "\\\""
      case UInt8(ascii: "\\"): text += "\\\\"
      case 0x20..<0x7F: text.unicodeScalars.append(Unicode.Scalar(byte))
      default: text += "\\x" + hex(byte)
      }
    }
    return text + "\""
  }

  private func print(_ tensor: Tensor) -> String {
    let head = "\(tensor.elementType.name)[\(tensor.shape.map(String.init).joined(separator: ", "))]"
    if let elementLimit, tensor.elementCount > elementLimit { return "\(head) <…>" }
    guard tensor.elementType.isComputable, tensor.elementCount <= 256 else {
      return tensor.withUnsafeBytes { bytes in "\(head) #\(bytes.map(Self.hex).joined())" }
    }
    return "\(head) <\(elements(tensor).joined(separator: ", "))>"
  }

  private func elements(_ tensor: Tensor) -> [String] {
    switch tensor.elementType {
    case .float32: tensor.scalars(as: Float.self).map { Self.print($0) }
    case .float64:
      tensor.scalars(as: Double.self).map { $0.isNaN ? "float(0x\(String($0.bitPattern, radix: 16)))" : "\($0)" }
    case .float16:
      tensor.scalars(as: Float16.self).map { $0.isNaN ? "float(0x\(String($0.bitPattern, radix: 16)))" : "\($0)" }
    case .bfloat16:
      tensor.scalars(as: BFloat16.self).map {
        $0.float.isNaN ? "float(0x\(String($0.bitPattern, radix: 16)))" : "\($0)"
      }
    case .int32: tensor.scalars(as: Int32.self).map(String.init)
    case .int64: tensor.scalars(as: Int64.self).map(String.init)
    case .uint8: tensor.scalars(as: UInt8.self).map(String.init)
    default: tensor.scalars(as: Bool.self).map(String.init)
    }
  }

  private static func hex(_ byte: UInt8) -> String {
    let digits = Array("0123456789abcdef")
    return String([digits[Int(byte >> 4)], digits[Int(byte & 15)]])
  }
}
