import MartletDiagnostics

/// The header of an npy file: a Python dictionary that says what the bytes after it are.
///
/// Only what NumPy writes for an array of numbers is accepted: the keys `descr`, `fortran_order` and `shape`, each once, with
/// a string, a truth value and a tuple of whole numbers.
struct NPYHeader: Equatable {
  /// The type as NumPy spells it, such as `<f4`.
  var type: String
  /// Whether the first index runs fastest.
  var isFortranOrder: Bool
  var shape: [Int]

  /// The most dimensions that NumPy gives an array.
  static let rankLimit = 64

  /// Parses a header.
  ///
  /// - Parameters:
  ///   - bytes: The text of the dictionary.
  ///   - offset: Where in the file it stands, for messages.
  ///   - file: The name of the file, for messages.
  /// - Throws: A `Diagnostic` that names file, offset and field.
  init(parsing bytes: UnsafeRawBufferPointer, offset: Int, file: String) throws {
    var parser = Parser(bytes: bytes, start: offset, file: file)
    var type: String?
    var isFortranOrder: Bool?
    var shape: [Int]?
    try parser.expect("{")
    while !parser.skip("}") {
      let place = parser.offset
      let key = try parser.string()
      parser.field = "header '\(key)'"
      try parser.expect(":")
      switch key {
      case "descr" where type == nil: type = try parser.string()
      case "fortran_order" where isFortranOrder == nil: isFortranOrder = try parser.boolean()
      case "shape" where shape == nil: shape = try parser.tuple()
      default: throw parser.failure("the key is not known or appears twice", at: place)
      }
      if !parser.skip(",") {
        try parser.expect("}")
        break
      }
    }
    parser.field = "header"
    guard parser.isAtEnd else { throw parser.failure("something follows the dictionary") }
    guard let type, let isFortranOrder, let shape else {
      throw parser.failure("'descr', 'fortran_order' or 'shape' is missing")
    }
    self.type = type
    self.isFortranOrder = isFortranOrder
    self.shape = shape
  }

  /// Reads the few forms of Python's literals that a header has.
  private struct Parser {
    let bytes: UnsafeRawBufferPointer
    let start: Int
    let file: String
    var field = "header"
    var offset = 0

    init(bytes: UnsafeRawBufferPointer, start: Int, file: String) {
      self.bytes = bytes
      self.start = start
      self.file = file
    }

    func failure(_ problem: String, at place: Int? = nil) -> Diagnostic {
      malformed(file, offset: start + (place ?? offset), field: field, problem)
    }

    var isAtEnd: Bool {
      mutating get {
        skipSpace()
        return offset == bytes.count
      }
    }

    mutating func skipSpace() {
      while offset < bytes.count, [0x20, 0x09, 0x0a, 0x0d].contains(bytes[offset]) { offset += 1 }
    }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
      skipSpace()
      guard offset < bytes.count, bytes[offset] == UInt8(ascii: character) else { return false }
      offset += 1
      return true
    }

    mutating func expect(_ character: Unicode.Scalar) throws {
      guard skip(character) else { throw failure("'\(character)' belongs here") }
    }

    mutating func string() throws -> String {
      guard skip("'") || skip("\"") else { throw failure("a string in quotes belongs here") }
      let quote = bytes[offset - 1]
      let first = offset
      while offset < bytes.count, bytes[offset] != quote {
        guard bytes[offset] != UInt8(ascii: "\\") else { throw failure("escapes are not supported") }
        offset += 1
      }
      guard offset < bytes.count else { throw failure("the string is not closed", at: first) }
      offset += 1
      return String(decoding: bytes[first..<offset - 1], as: UTF8.self)
    }

    mutating func boolean() throws -> Bool {
      skipSpace()
      for (word, value) in [("True", true), ("False", false)] where bytes[offset...].starts(with: word.utf8) {
        offset += word.utf8.count
        return value
      }
      throw failure("True or False belongs here")
    }

    mutating func tuple() throws -> [Int] {
      try expect("(")
      var values: [Int] = []
      while !skip(")") {
        guard values.count < NPYHeader.rankLimit else {
          throw failure("there are more than \(NPYHeader.rankLimit) dimensions")
        }
        values.append(try integer())
        if !skip(",") {
          // Python writes a tuple of one element with a comma; without one it is a number in parentheses.
          guard values.count > 1 else { throw failure("a comma belongs here") }
          try expect(")")
          break
        }
      }
      return values
    }

    mutating func integer() throws -> Int {
      skipSpace()
      let first = offset
      var value = 0
      while offset < bytes.count, case UInt8(ascii: "0")...UInt8(ascii: "9") = bytes[offset] {
        let (product, overflow) = value.multipliedReportingOverflow(by: 10)
        let (sum, carry) = product.addingReportingOverflow(Int(bytes[offset] - UInt8(ascii: "0")))
        guard !overflow, !carry else { throw failure("the extent does not fit in 64 bits", at: first) }
        value = sum
        offset += 1
      }
      guard offset > first else { throw failure("a whole number belongs here") }
      // Python 2 wrote long integers with a suffix.
      if offset < bytes.count, bytes[offset] == UInt8(ascii: "L") { offset += 1 }
      return value
    }
  }
}
