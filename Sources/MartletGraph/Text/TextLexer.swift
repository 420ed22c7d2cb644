import MartletDiagnostics

/// Cuts the text form into tokens, keeping lines for messages.
struct TextLexer {
  enum Token: Equatable {
    /// A bare word, a number included: letters, digits and `_ . / - +`.
    case word(String)
    case quoted([UInt8])
    case symbol(UInt8)
    case end
  }

  private let bytes: [UInt8]
  private var position = 0
  private(set) var line = 1
  private let file: String
  private(set) var token: Token = .end

  init(_ bytes: [UInt8], file: String) throws(Diagnostic) {
    self.bytes = bytes
    self.file = file
    try advance()
  }

  func fail(_ message: String, required: String? = nil) -> Diagnostic {
    Diagnostic("\(file):\(line): \(message)", required: required, found: Self.describe(token))
  }

  private static func describe(_ token: Token) -> String {
    switch token {
    case .word(let word): "'\(word.prefix(40))'"
    case .quoted: "a quoted text"
    case .symbol(let byte): "'\(Character(Unicode.Scalar(byte)))'"
    case .end: "the end of the text"
    }
  }

  mutating func advance() throws(Diagnostic) {
    skipSpace()
    guard position < bytes.count else {
      token = .end
      return
    }
    let byte = bytes[position]
    if byte == UInt8(ascii: "\"") {
      token = .quoted(try quoted())
    } else if AttributePrinter.isNameByte(byte) || byte == UInt8(ascii: "+") {
      let start = position
      while position < bytes.count, AttributePrinter.isNameByte(bytes[position]) || bytes[position] == UInt8(ascii: "+")
      {
        position += 1
      }
      token = .word(String(decoding: bytes[start..<position], as: UTF8.self))
    } else {
      position += 1
      token = .symbol(byte)
    }
  }

  private mutating func skipSpace() {
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: "\n"):
        line += 1
        position += 1
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): position += 1
      case UInt8(ascii: "/") where position + 1 < bytes.count && bytes[position + 1] == UInt8(ascii: "/"):
        while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { position += 1 }
      default: return
      }
    }
  }

  private mutating func quoted() throws(Diagnostic) -> [UInt8] {
    var result: [UInt8] = []
    position += 1
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      if byte == UInt8(ascii: "\"") { return result }
      guard byte == UInt8(ascii: "\\") else {
        if byte == UInt8(ascii: "\n") { line += 1 }
        result.append(byte)
        continue
      }
      guard position < bytes.count else { break }
      let escaped = bytes[position]
      position += 1
      guard escaped == UInt8(ascii: "x") else {
        result.append(escaped)
        continue
      }
      guard position + 2 <= bytes.count,
        let value = UInt8(String(decoding: bytes[position..<position + 2], as: UTF8.self), radix: 16)
      else { throw fail("\\x needs two hexadecimal digits") }
      result.append(value)
      position += 2
    }
    throw fail("a quoted text does not end")
  }

  // MARK: What parsers ask for

  func isAt(_ symbol: Character) -> Bool { token == .symbol(symbol.asciiValue ?? 0) }
  func isAt(word: String) -> Bool { token == .word(word) }

  mutating func take(_ symbol: Character) throws(Diagnostic) {
    guard isAt(symbol) else { throw fail("the text does not go on as it should", required: "'\(symbol)'") }
    try advance()
  }
  /// Takes the symbol if it is next.
  mutating func takes(_ symbol: Character) throws(Diagnostic) -> Bool {
    guard isAt(symbol) else { return false }
    try advance()
    return true
  }
  mutating func takes(word: String) throws(Diagnostic) -> Bool {
    guard isAt(word: word) else { return false }
    try advance()
    return true
  }
  mutating func word(_ what: String) throws(Diagnostic) -> String {
    guard case .word(let word) = token else { throw fail("\(what) is missing", required: what) }
    try advance()
    return word
  }
  /// A bare or quoted name.
  mutating func name(_ what: String) throws(Diagnostic) -> String {
    switch token {
    case .word(let word):
      try advance()
      return word
    case .quoted(let bytes):
      try advance()
      return String(decoding: bytes, as: UTF8.self)
    default: throw fail("\(what) is missing", required: what)
    }
  }
  mutating func integer(_ what: String) throws(Diagnostic) -> Int {
    guard case .word(let word) = token, let value = Int(word) else {
      throw fail("\(what) is not a number", required: "an integer")
    }
    try advance()
    return value
  }
}
