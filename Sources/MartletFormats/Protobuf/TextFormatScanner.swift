import CMartletProtos
import MartletDiagnostics

/// Reads the words, numbers and strings of protobuf's text format.
struct TextFormatScanner {
  private let bytes: UnsafeRawBufferPointer
  private let file: String
  private(set) var offset = 0

  init(_ bytes: UnsafeRawBufferPointer, file: String) {
    self.bytes = bytes
    self.file = file
  }

  var isAtEnd: Bool { offset == bytes.count }

  /// The byte that comes next; 0 at the end.
  var next: UInt8 { offset < bytes.count ? bytes[offset] : 0 }

  /// Moves past a byte that was seen with ``next``.
  mutating func advance() { offset += 1 }

  /// An error at a place in the text, by default where the scanner stands, with line and column counted from 1.
  func failure(_ problem: String, at place: Int? = nil) -> Diagnostic {
    var line = 1
    var lineStart = 0
    let place = place ?? offset
    for i in 0..<place where bytes[i] == UInt8(ascii: "\n") {
      line += 1
      lineStart = i + 1
    }
    return Diagnostic("\(file):\(line):\(place - lineStart + 1): \(problem)")
  }

  /// Moves to the next byte that is neither white space nor in a comment.
  mutating func skipSpace() {
    while offset < bytes.count {
      switch bytes[offset] {
      case 0x20, 0x09...0x0d: offset += 1
      case UInt8(ascii: "#"):
        while offset < bytes.count, bytes[offset] != UInt8(ascii: "\n") { offset += 1 }
      default: return
      }
    }
  }

  /// Moves past white space and a byte where that byte comes next, else past the white space only.
  mutating func skip(_ byte: UInt8) -> Bool {
    skipSpace()
    guard next == byte, !isAtEnd else { return false }
    offset += 1
    return true
  }

  /// Reads a name; empty where none comes next.
  mutating func word() -> UnsafeRawBufferPointer {
    let start = offset
    while offset < bytes.count, isWordByte(bytes[offset]) { offset += 1 }
    return UnsafeRawBufferPointer(rebasing: bytes[start..<offset])
  }

  private func isWordByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
      true
    default: false
    }
  }

  /// Reads a minus sign and the white space after it.
  private mutating func sign() -> Bool {
    guard skip(UInt8(ascii: "-")) else { return false }
    skipSpace()
    return true
  }

  /// Reads a decimal, octal or hexadecimal number.
  mutating func integer() throws -> (isNegative: Bool, magnitude: UInt64) {
    let isNegative = sign()
    let start = offset
    let digits = word()
    var radix: UInt64 = 10
    var first = 0
    if digits.count > 1, digits[0] == UInt8(ascii: "0") {
      let isHexadecimal = digits[1] | 0x20 == UInt8(ascii: "x")
      radix = isHexadecimal ? 16 : 8
      first = isHexadecimal ? 2 : 1
    }
    guard first < digits.count, next != UInt8(ascii: ".") else {
      throw failure("a whole number belongs here", at: start)
    }
    var magnitude: UInt64 = 0
    for byte in digits[first...] {
      guard let digit = hexadecimalDigit(byte), digit < radix else {
        throw failure("a whole number belongs here", at: start)
      }
      let (product, overflow) = magnitude.multipliedReportingOverflow(by: radix)
      let (sum, carry) = product.addingReportingOverflow(digit)
      guard !overflow, !carry else { throw failure("the number does not fit in 64 bits", at: start) }
      magnitude = sum
    }
    return (isNegative, magnitude)
  }

  /// Reads a signed number of at most `bitWidth` bits.
  mutating func signed(bitWidth: Int) throws -> Int64 {
    let start = offset
    let (isNegative, magnitude) = try integer()
    let bound = UInt64(1) << (bitWidth - 1)
    guard magnitude < bound || isNegative && magnitude == bound else {
      throw failure("the number does not fit in \(bitWidth) bits", at: start)
    }
    return isNegative ? Int64(truncatingIfNeeded: 0 &- magnitude) : Int64(magnitude)
  }

  /// Reads an unsigned number of at most `bitWidth` bits.
  mutating func unsigned(bitWidth: Int) throws -> UInt64 {
    let start = offset
    let (isNegative, magnitude) = try integer()
    guard !isNegative || magnitude == 0, bitWidth == 64 || magnitude < UInt64(1) << bitWidth else {
      throw failure("the number does not fit in \(bitWidth) bits without a sign", at: start)
    }
    return magnitude
  }

  /// Reads a decimal floating-point number, infinity or NaN.
  mutating func real<T: BinaryFloatingPoint & LosslessStringConvertible>(_ type: T.Type) throws -> T {
    let isNegative = sign()
    let start = offset
    if case UInt8(ascii: "a")...UInt8(ascii: "z") = next | 0x20 {
      let name = String(decoding: word(), as: UTF8.self).lowercased()
      switch name {
      case "inf", "infinity", "inff", "infinityf": return isNegative ? -T.infinity : T.infinity
      case "nan", "nanf": return isNegative ? -T.nan : T.nan
      default: throw failure("a number belongs here", at: start)
      }
    }
    var digitCount = 0
    func skipDigits(_ scanner: inout TextFormatScanner) {
      while case UInt8(ascii: "0")...UInt8(ascii: "9") = scanner.next {
        scanner.advance()
        digitCount += 1
      }
    }
    skipDigits(&self)
    if next == UInt8(ascii: ".") {
      advance()
      skipDigits(&self)
    }
    guard digitCount > 0 else { throw failure("a number belongs here", at: start) }
    if next | 0x20 == UInt8(ascii: "e") {
      advance()
      if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { advance() }
      digitCount = 0
      skipDigits(&self)
      guard digitCount > 0 else { throw failure("the exponent has no digits") }
    }
    let text = String(decoding: bytes[start..<offset], as: UTF8.self)
    if next | 0x20 == UInt8(ascii: "f") { advance() }
    guard !isWordByte(next), let value = T(text) else { throw failure("a number belongs here", at: start) }
    return isNegative ? -value : value
  }

  /// Reads one or more quoted strings in a row, which are one string, and appends what they stand for.
  mutating func quoted(to output: inout ByteBuffer) throws {
    repeat {
      let quote = next
      let start = offset
      guard quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
        throw failure("a string in quotes belongs here")
      }
      advance()
      while next != quote || isAtEnd {
        guard !isAtEnd, next != UInt8(ascii: "\n") else { throw failure("the string is not closed", at: start) }
        if next == UInt8(ascii: "\\") {
          try escape(to: &output)
        } else {
          output.append(next)
          advance()
        }
      }
      advance()
      skipSpace()
    } while next == UInt8(ascii: "\"") || next == UInt8(ascii: "'")
  }

  private mutating func escape(to output: inout ByteBuffer) throws {
    let start = offset
    advance()
    let kind = next
    guard !isAtEnd else { throw failure("the string is not closed", at: start) }
    advance()
    switch kind {
    case UInt8(ascii: "n"): output.append(0x0a)
    case UInt8(ascii: "r"): output.append(0x0d)
    case UInt8(ascii: "t"): output.append(0x09)
    case UInt8(ascii: "a"): output.append(0x07)
    case UInt8(ascii: "b"): output.append(0x08)
    case UInt8(ascii: "f"): output.append(0x0c)
    case UInt8(ascii: "v"): output.append(0x0b)
    case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "\\"), UInt8(ascii: "?"): output.append(kind)
    case UInt8(ascii: "0")...UInt8(ascii: "7"):
      var value = UInt64(kind - UInt8(ascii: "0"))
      for _ in 0..<2 {
        guard case UInt8(ascii: "0")...UInt8(ascii: "7") = next else { break }
        value = value * 8 + UInt64(next - UInt8(ascii: "0"))
        advance()
      }
      guard value < 256 else { throw failure("an octal escape stands for at most 255", at: start) }
      output.append(UInt8(value))
    case UInt8(ascii: "x"), UInt8(ascii: "X"):
      output.append(UInt8(try hexadecimal(minimum: 1, maximum: 2, start)))
    case UInt8(ascii: "u"), UInt8(ascii: "U"):
      let count = kind == UInt8(ascii: "u") ? 4 : 8
      guard let scalar = Unicode.Scalar(try hexadecimal(minimum: count, maximum: count, start)) else {
        throw failure("the escape does not stand for a character", at: start)
      }
      output.append(String(Character(scalar)))
    default: throw failure("this escape is not known", at: start)
    }
  }

  private mutating func hexadecimal(minimum: Int, maximum: Int, _ start: Int) throws -> UInt32 {
    var value: UInt32 = 0
    var count = 0
    while count < maximum, !isAtEnd, let digit = hexadecimalDigit(next) {
      value = value << 4 | UInt32(digit)
      count += 1
      advance()
    }
    guard count >= minimum else { throw failure("the escape has too few hexadecimal digits", at: start) }
    return value
  }

  private func hexadecimalDigit(_ byte: UInt8) -> UInt64? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }
}
