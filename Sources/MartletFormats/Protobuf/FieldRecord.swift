/// A field of a message that Martlet does not read, kept as it stands on the wire and written again unchanged.
///
/// Fields of newer versions of a format, and fields whose meaning is of no use here, survive a round trip this way.
public struct FieldRecord: Hashable, Sendable {
  /// The number of the field.
  public var number: UInt32
  /// How the value is laid out: 0 a base-128 number, 1 eight bytes, 2 a length and bytes, 5 four bytes.
  public var wireType: UInt8
  /// The value, without the tag; a length stands in front of the bytes that it counts.
  public var bytes: [UInt8]

  public init(number: UInt32, wireType: UInt8, bytes: [UInt8]) {
    self.number = number
    self.wireType = wireType
    self.bytes = bytes
  }
}
