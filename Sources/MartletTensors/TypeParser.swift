/// Reads dimensions, shapes and types from the text that their `description(names:)` writes.
///
/// A parser remembers the numbered symbols it met, so one parser reads one graph's text. Input may be hostile: malformed
/// text gives nil, and nesting is bounded.
public struct TypeParser {
  private var symbols: [Int: Dimension] = [:]

  public init() {}

  /// Reads a dimension: `28`, `?0*2 + 1`, `floor(n + 1, 2)`. A bare `?` is a new unknown.
  public mutating func dimension(_ text: some StringProtocol) -> Dimension? {
    complete(text) { parser, cursor in parser.sum(&cursor, depth: 0) }
  }

  /// Reads a shape: `[?0, 28, 28, 1]`, `[]`, or `[...]` for one of unknown rank.
  public mutating func shape(_ text: some StringProtocol) -> Shape? {
    complete(text) { parser, cursor in parser.shape(&cursor) }
  }

  /// Reads a type: `float32[?0, 784]`.
  public mutating func type(_ text: some StringProtocol) -> TensorType? {
    complete(text) { parser, cursor in
      guard let name = cursor.identifier(), let elementType = ElementType(name: name),
        let shape = parser.shape(&cursor)
      else { return nil }
      return TensorType(elementType, shape)
    }
  }

  private mutating func complete<R>(
    _ text: some StringProtocol, _ read: (inout TypeParser, inout Cursor) -> R?
  ) -> R? {
    var cursor = Cursor(text)
    guard let result = read(&self, &cursor), cursor.isAtEnd else { return nil }
    return result
  }

  private mutating func shape(_ cursor: inout Cursor) -> Shape? {
    guard cursor.take("[") else { return nil }
    if cursor.take("...") { return cursor.take("]") ? .unknown : nil }
    if cursor.take("]") { return .scalar }
    var dimensions: [Dimension] = []
    repeat {
      guard let dimension = sum(&cursor, depth: 0) else { return nil }
      dimensions.append(dimension)
    } while cursor.take(",")
    return cursor.take("]") ? Shape(dimensions) : nil
  }

  private mutating func sum(_ cursor: inout Cursor, depth: Int) -> Dimension? {
    let isNegative = cursor.take("-")
    guard var result = product(&cursor, isNegative: isNegative, depth: depth) else { return nil }
    while true {
      let subtracts = cursor.take("-")
      guard subtracts || cursor.take("+") else { return result }
      guard let term = product(&cursor, isNegative: subtracts, depth: depth) else { return nil }
      result += term
    }
  }

  /// Reads factors. The sign goes to the number, so that the least integer can be read.
  private mutating func product(_ cursor: inout Cursor, isNegative: Bool, depth: Int) -> Dimension? {
    var (result, needsSign) = (Dimension(1), isNegative)
    repeat {
      if let digits = cursor.digits() {
        guard let number = Int((needsSign ? "-" : "") + digits) else { return nil }
        result *= Dimension(number)
        needsSign = false
      } else {
        guard let factor = factor(&cursor, depth: depth) else { return nil }
        result *= factor
      }
    } while cursor.take("*")
    return needsSign ? -result : result
  }

  private static let depthLimit = 64

  private mutating func factor(_ cursor: inout Cursor, depth: Int) -> Dimension? {
    if cursor.take("?") {
      guard let digits = cursor.adjacentDigits() else { return .fresh() }
      guard let number = Int(digits) else { return nil }
      let symbol = symbols[number] ?? .fresh()
      symbols[number] = symbol
      return symbol
    }
    guard let name = cursor.identifier() else { return nil }
    guard cursor.take("(") else { return .symbol(named: name) }
    guard depth < Self.depthLimit, let a = sum(&cursor, depth: depth + 1), cursor.take(","),
      let b = sum(&cursor, depth: depth + 1), cursor.take(")")
    else { return nil }
    return switch name {
    case "floor": a.floorDivided(by: b)
    case "min": a.min(b)
    case "max": a.max(b)
    case "product": a * b
    default: nil
    }
  }
}

/// A position in text; spaces between tokens do not count.
private struct Cursor {
  private var rest: Substring.UTF8View

  init(_ text: some StringProtocol) { rest = Substring(text).utf8 }

  private mutating func skipSpaces() {
    while rest.first == UInt8(ascii: " ") { rest.removeFirst() }
  }

  var isAtEnd: Bool { rest.allSatisfy { $0 == UInt8(ascii: " ") } }

  mutating func take(_ token: String) -> Bool {
    skipSpaces()
    guard rest.starts(with: token.utf8) else { return false }
    rest.removeFirst(token.utf8.count)
    return true
  }

  mutating func digits() -> String? {
    skipSpaces()
    return run { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
  }

  /// Digits without spaces before them.
  mutating func adjacentDigits() -> String? { rest.first == UInt8(ascii: " ") ? nil : digits() }

  /// A letter or underscore, then these, digits, full stops and slashes.
  mutating func identifier() -> String? {
    skipSpaces()
    guard let first = rest.first, Self.isLetter(first) else { return nil }
    return run { byte in
      Self.isLetter(byte) || (UInt8(ascii: ".")...UInt8(ascii: "9")).contains(byte)
    }
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): true
    default: false
    }
  }

  private mutating func run(_ isPart: (UInt8) -> Bool) -> String? {
    let text = rest.prefix(while: isPart)
    guard !text.isEmpty else { return nil }
    rest = rest.dropFirst(text.count)
    return String(Substring(text))
  }
}
