/// The value of an attribute in debug information, so far as source locations need it.
enum AttributeValue {
  case number(UInt64)
  case address(UInt64)
  case addressIndex(UInt64)
  case rangeListIndex(UInt64)
  case inlineString(String)
  case stringOffset(UInt64)
  case lineStringOffset(UInt64)
  case stringIndex(UInt64)
  case other
}

extension ByteReader {
  /// The length that starts a unit, and the size of section offsets within it.
  mutating func initialLength() throws(DebugInformationFault) -> (length: Int, offsetSize: Int) {
    let short = try int(4)
    if short < 0xFFFF_FFF0 { return (short, 4) }
    guard short == 0xFFFF_FFFF else { throw DebugInformationFault() }
    let length = try int(8)
    guard length <= bytes.count else { throw DebugInformationFault() }
    return (length, 8)
  }

  /// Reads a value of a form. Source: DWARF version 5, section 7.5.6, and GNU's extensions for separate debug files.
  ///
  /// - Parameter implicit: The value of form `DW_FORM_implicit_const`, which stands in the abbreviation.
  mutating func attribute(
    form: Int, implicit: Int64, offsetSize: Int
  ) throws(DebugInformationFault) -> AttributeValue {
    switch form {
    case 0x01: return .address(try unsigned(8))
    case 0x0B, 0x0C, 0x11: return .number(try unsigned(1))
    case 0x05, 0x12: return .number(try unsigned(2))
    case 0x06, 0x13: return .number(try unsigned(4))
    case 0x07, 0x14, 0x20, 0x24: return .number(try unsigned(8))
    case 0x0D: return .number(UInt64(bitPattern: try signedLEB()))
    case 0x0F, 0x15: return .number(try unsignedLEB())
    case 0x17: return .number(try unsigned(offsetSize))
    case 0x19: return .number(1)
    case 0x21: return .number(UInt64(bitPattern: implicit))
    case 0x08: return .inlineString(try string())
    case 0x0E: return .stringOffset(try unsigned(offsetSize))
    case 0x1F: return .lineStringOffset(try unsigned(offsetSize))
    case 0x1A, 0x1F02: return .stringIndex(try unsignedLEB())
    case 0x25...0x28: return .stringIndex(try unsigned(form - 0x24))
    case 0x1B, 0x1F01: return .addressIndex(try unsignedLEB())
    case 0x29...0x2C: return .addressIndex(try unsigned(form - 0x28))
    case 0x23: return .rangeListIndex(try unsignedLEB())
    case 0x22: _ = try unsignedLEB()
    case 0x10, 0x1D, 0x1F20, 0x1F21: try skip(offsetSize)
    case 0x1C: try skip(4)
    case 0x1E: try skip(16)
    case 0x03: try skip(int(2))
    case 0x04: try skip(int(4))
    case 0x0A: try skip(int(1))
    case 0x09, 0x18: try skip(intLEB())
    case 0x16:
      let actual = try intLEB()
      guard actual != 0x16 else { throw DebugInformationFault() }
      return try attribute(form: actual, implicit: implicit, offsetSize: offsetSize)
    default: throw DebugInformationFault()
    }
    return .other
  }
}

extension ObjectFile {
  /// The string that a value names, or nil where it is no string or needs its unit's table of offsets.
  func string(_ value: AttributeValue) throws(DebugInformationFault) -> String? {
    switch value {
    case .inlineString(let string): return string
    case .stringOffset(let offset): return try Self.string(strings, offset)
    case .lineStringOffset(let offset): return try Self.string(lineStrings, offset)
    default: return nil
    }
  }

  static func string(_ section: [UInt8], _ offset: UInt64) throws(DebugInformationFault) -> String {
    guard let offset = Int(exactly: offset) else { throw DebugInformationFault() }
    var reader = try ByteReader(section, at: offset)
    return try reader.string()
  }
}
