import MartletDiagnostics
import MartletTensors

/// Reads attribute values and types of the text form.
extension TextLexer {
  /// Lists within lists, at most so deep.
  private static var depthLimit: Int { 16 }

  mutating func attributeValue(depth: Int = 0) throws(Diagnostic) -> AttributeValue {
    guard depth < Self.depthLimit else { throw fail("lists are nested too deep") }
    switch token {
    case .quoted(let bytes):
      try advance()
      return .string(bytes)
    case .symbol(UInt8(ascii: "[")):
      try advance()
      var items: [AttributeValue] = []
      while !isAt("]") {
        items.append(try attributeValue(depth: depth + 1))
        guard try takes(",") else { break }
      }
      try take("]")
      return .list(items)
    case .symbol(UInt8(ascii: "@")):
      try advance()
      return .function(try name("a function's name"))
    case .word(let word):
      return try attributeValue(word)
    default:
      throw fail("an attribute's value is missing")
    }
  }

  private mutating func attributeValue(_ word: String) throws(Diagnostic) -> AttributeValue {
    switch word {
    case "true", "false":
      try advance()
      return .bool(word == "true")
    case "shape":
      try advance()
      return .shape(try shape())
    case "bytes":
      try advance()
      guard case .quoted(let bytes) = token else { throw fail("the bytes are missing") }
      try advance()
      return .opaque(bytes)
    case "float":
      return .float(Float(bitPattern: UInt32(truncatingIfNeeded: try bits())))
    default: break
    }
    if let type = ElementType(name: word) {
      try advance()
      guard isAt("[") else { return .type(type) }
      return .tensor(Constant(try tensor(of: type)))
    }
    if let value = Int(word) {
      try advance()
      return .int(value)
    }
    if let value = Float(word) {
      try advance()
      return .float(value)
    }
    throw fail("an attribute's value is not understood")
  }

  /// `float(0x7fc00000)`, a float by its bits.
  private mutating func bits() throws(Diagnostic) -> UInt64 {
    try advance()
    try take("(")
    guard case .word(let word) = token, word.hasPrefix("0x"), let bits = UInt64(word.dropFirst(2), radix: 16) else {
      throw fail("a float's bits are missing", required: "0x and hexadecimal digits")
    }
    try advance()
    try take(")")
    return bits
  }

  /// `[2, ?, 3]`, or `[*]` for an unknown rank.
  mutating func shape() throws(Diagnostic) -> Shape {
    try take("[")
    if try takes("*") {
      try take("]")
      return .unknown
    }
    var dimensions: [Dimension] = []
    while !isAt("]") {
      if try takes("?") {
        dimensions.append(.fresh())
      } else {
        let size = try integer("a dimension")
        guard size >= 0 else { throw fail("a dimension is negative") }
        dimensions.append(.known(size))
      }
      guard try takes(",") else { break }
    }
    try take("]")
    return Shape(dimensions)
  }

  mutating func valueType() throws(Diagnostic) -> ValueType {
    let word = try word("a type")
    switch word {
    case "foreign": return .foreign
    case "error": return .poison
    case "variable":
      try take("<")
      guard let type = ElementType(name: try self.word("an element type")) else { throw fail("no such element type") }
      let shape = try shape()
      try take(">")
      return .resource(TensorType(type, shape))
    default:
      guard let type = ElementType(name: word) else { throw fail("'\(word)' is not an element type") }
      return .tensor(type, try shape())
    }
  }

  private mutating func tensor(of type: ElementType) throws(Diagnostic) -> Tensor {
    guard let extents = try shape().known, let byteCount = Tensor.checkedByteCount(elementType: type, shape: extents)
    else { throw fail("an array needs a shape without unknown dimensions, of at most 2^63 bytes") }
    if try takes("#") {
      // An empty array has no digits.
      var digits = ""
      if case .word(let word) = token, byteCount > 0 {
        digits = word
        try advance()
      }
      return try tensor(of: type, extents, byteCount, hex: Array(digits.utf8))
    }
    try take("<")
    var numbers: [Number] = []
    while !isAt(">") {
      numbers.append(try number())
      guard try takes(",") else { break }
    }
    try take(">")
    guard numbers.count == extents.reduce(1, *) else {
      throw fail("an array of shape \(extents) has \(numbers.count) elements")
    }
    switch type {
    case .float32:
      return Tensor(
        numbers.map { $0.bits.map { Float(bitPattern: UInt32(truncatingIfNeeded: $0)) } ?? Float($0.text) ?? 0 },
        shape: extents)
    case .float64:
      return Tensor(numbers.map { $0.bits.map { Double(bitPattern: $0) } ?? Double($0.text) ?? 0 }, shape: extents)
    case .float16:
      return Tensor(
        numbers.map { $0.bits.map { Float16(bitPattern: UInt16(truncatingIfNeeded: $0)) } ?? Float16($0.text) ?? 0 },
        shape: extents)
    case .bfloat16:
      return Tensor(
        numbers.map {
          $0.bits.map { BFloat16(bitPattern: UInt16(truncatingIfNeeded: $0)) } ?? BFloat16(Double($0.text) ?? 0)
        }, shape: extents)
    case .int32: return Tensor(numbers.map { Int32($0.text) ?? 0 }, shape: extents)
    case .int64: return Tensor(numbers.map { Int64($0.text) ?? 0 }, shape: extents)
    case .uint8: return Tensor(numbers.map { UInt8($0.text) ?? 0 }, shape: extents)
    case .bool: return Tensor(numbers.map { $0.text == "true" }, shape: extents)
    default: throw fail("arrays of \(type) are written by their bytes")
    }
  }

  private struct Number {
    var text: String
    var bits: UInt64?
  }

  private mutating func number() throws(Diagnostic) -> Number {
    guard case .word(let word) = token else { throw fail("a number is missing") }
    if word == "float" { return Number(text: "", bits: try bits()) }
    guard Double(word) != nil || word == "true" || word == "false" else { throw fail("not a number") }
    try advance()
    return Number(text: word, bits: nil)
  }

  private mutating func tensor(
    of type: ElementType, _ extents: [Int], _ byteCount: Int, hex: [UInt8]
  ) throws(Diagnostic) -> Tensor {
    guard hex.count == 2 * byteCount else {
      throw fail("an array of shape \(extents) needs \(byteCount) bytes, but \(hex.count / 2) are given")
    }
    func digit(_ byte: UInt8) -> UInt8? { Character(Unicode.Scalar(byte)).hexDigitValue.map { UInt8($0) } }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(byteCount)
    for i in stride(from: 0, to: hex.count, by: 2) {
      guard let high = digit(hex[i]), let low = digit(hex[i + 1]) else { throw fail("not a hexadecimal digit") }
      bytes.append(high << 4 | low)
    }
    var tensor = Tensor(uninitialized: type, shape: extents)
    tensor.withUnsafeMutableBytes { $0.copyBytes(from: bytes) }
    return tensor
  }
}
