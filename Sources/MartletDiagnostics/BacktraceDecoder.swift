/// A decoder that holds nothing but a backtrace, in the form in which Swift's `Backtrace` is coded.
///
/// `Backtrace` has no initializer that takes addresses, but it is `Codable`: a processor name, and in base 64 the
/// *compact backtrace format* of Swift's documentation.
struct BacktraceDecoder: Decoder {
  private let fields: [String: String]

  init(returnAddresses: [UInt]) {
    #if arch(arm64)
      let architecture = "arm64"
    #else
      let architecture = "x86_64"
    #endif
    fields = ["architecture": architecture, "backtrace": Self.base64(Self.compactForm(of: returnAddresses))]
  }

  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
    KeyedDecodingContainer(Container(fields: fields))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer { throw Self.unsupported }
  func singleValueContainer() throws -> any SingleValueDecodingContainer { throw Self.unsupported }

  fileprivate static var unsupported: DecodingError {
    .dataCorrupted(.init(codingPath: [], debugDescription: "A backtrace holds only strings."))
  }

  /// A header (version 0, 64-bit words), for each address an instruction "absolute return address of eight bytes" and the
  /// address with its high byte first, and an end mark.
  private static func compactForm(of addresses: [UInt]) -> [UInt8] {
    var bytes: [UInt8] = [0b0000_0010]
    for address in addresses {
      bytes.append(0b0010_1111)
      for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: address >> shift)) }
    }
    bytes.append(0)
    return bytes
  }

  private static func base64(_ bytes: [UInt8]) -> String {
    let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    var text = ""
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      let word = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
      for digit in 0...group.count { text.append(digits[word >> (18 - 6 * digit) & 63]) }
    }
    return text
  }
}

/// A keyed container of strings.
private struct Container<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let fields: [String: String]

  var codingPath: [any CodingKey] { [] }
  var allKeys: [Key] { fields.keys.sorted().compactMap(Key.init(stringValue:)) }

  func contains(_ key: Key) -> Bool { fields[key.stringValue] != nil }
  func decodeNil(forKey key: Key) -> Bool { !contains(key) }

  func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T {
    guard let value = fields[key.stringValue] as? T else { throw BacktraceDecoder.unsupported }
    return value
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> { throw BacktraceDecoder.unsupported }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    throw BacktraceDecoder.unsupported
  }

  func superDecoder() throws -> any Decoder { throw BacktraceDecoder.unsupported }
  func superDecoder(forKey key: Key) throws -> any Decoder { throw BacktraceDecoder.unsupported }
}
