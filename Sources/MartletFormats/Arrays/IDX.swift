import MartletDiagnostics
import MartletTensors

/// The file format of the MNIST data sets, plain or compressed by gzip.
///
/// A file is two zero bytes, a type, the number of dimensions, the extents as big-endian 32-bit numbers, and the elements,
/// big-endian and row-major.
///
///     let images = try IDX.read("train-images-idx3-ubyte.gz")  // uint8[60000, 28, 28]
public enum IDX {
  /// An element type of the format, and the type of the tensor: bytes with a sign and 16-bit numbers become int32.
  private struct Format {
    let code: UInt8
    let width: Int
    let type: ElementType
  }

  private static let formats = [
    Format(code: 0x08, width: 1, type: .uint8), Format(code: 0x09, width: 1, type: .int32),
    Format(code: 0x0b, width: 2, type: .int32), Format(code: 0x0c, width: 4, type: .int32),
    Format(code: 0x0d, width: 4, type: .float32), Format(code: 0x0e, width: 8, type: .float64),
  ]

  /// Reads a file.
  ///
  /// - Throws: A `Diagnostic` that names file, offset and field.
  public static func read(_ path: String) throws -> Tensor {
    let file = try FileBytes(path: path)
    defer { withExtendedLifetime(file) {} }
    return try read(file.bytes, name: path)
  }

  /// Reads bytes, plain or compressed.
  ///
  /// - Parameter name: What to call the bytes in messages.
  /// - Throws: A `Diagnostic` that names the bytes, the offset and the field.
  public static func read(bytes: [UInt8], name: String = "IDX") throws -> Tensor {
    try bytes.withUnsafeBytes { try read($0, name: name) }
  }

  private static func read(_ bytes: UnsafeRawBufferPointer, name: String) throws -> Tensor {
    if GzipReader.recognizes(bytes) {
      let gzip = try GzipReader(bytes, name: name)
      let (bound, overflow) = bytes.count.multipliedReportingOverflow(by: GzipReader.largestRatio)
      return try decode(name: name, byteBound: overflow ? .max : bound) { try gzip.read(into: $0) }
    }
    var rest = bytes
    return try decode(name: name, byteBound: bytes.count) { buffer in
      let count = min(buffer.count, rest.count)
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
      return count
    }
  }

  /// Decodes what `read` delivers. `read` fills a buffer, or what it can of it at the end.
  ///
  /// - Parameter byteBound: More than this the file cannot hold, whatever it says; nothing larger is allocated.
  private static func decode(
    name: String, byteBound: Int, _ read: (UnsafeMutableRawBufferPointer) throws -> Int
  ) throws -> Tensor {
    var prefix: [UInt8] = [0, 0, 0, 0]
    guard try prefix.withUnsafeMutableBytes(read) == 4, prefix[0] == 0, prefix[1] == 0 else {
      throw malformed(name, offset: 0, field: "magic", "this is not an IDX file")
    }
    guard let format = formats.first(where: { $0.code == prefix[2] }) else {
      throw malformed(name, offset: 2, field: "type", "\(prefix[2]) is not the number of an element type")
    }
    var extentBytes = Array(repeating: 0 as UInt8, count: 4 * Int(prefix[3]))
    guard try extentBytes.withUnsafeMutableBytes(read) == extentBytes.count else {
      throw malformed(name, offset: 4, field: "dimensions", "the file ends before its \(prefix[3]) dimensions do")
    }
    let shape = stride(from: 0, to: extentBytes.count, by: 4).map { start in
      extentBytes[start..<start + 4].reduce(0) { $0 << 8 | Int($1) }
    }
    let dataStart = 4 + extentBytes.count
    guard let byteCount = Tensor.checkedByteCount(elementType: format.type, shape: shape),
      byteCount / format.type.byteWidth <= (byteBound - min(byteBound, dataStart)) / format.width
    else {
      throw malformed(name, offset: 4, field: "dimensions", "the file is too small for an array of shape \(shape)")
    }
    var tensor = Tensor(uninitialized: format.type, shape: shape)
    let dataCount = tensor.elementCount * format.width
    let received = try tensor.withUnsafeMutableBytes { elements in
      // Elements that are widened stand at the end at first, so that each is read before it is overwritten.
      let data = UnsafeMutableRawBufferPointer(rebasing: elements[(elements.count - dataCount)...])
      let received = try read(data)
      if received == dataCount { convert(data, format, to: elements) }
      return received
    }
    guard received == dataCount else {
      throw malformed(
        name, offset: dataStart + received, field: "data", "the file ends after \(received) of \(dataCount) bytes")
    }
    var extra: UInt8 = 0
    guard try withUnsafeMutableBytes(of: &extra, read) == 0 else {
      throw malformed(name, offset: dataStart + dataCount, field: "data", "something follows the last element")
    }
    return tensor
  }

  private static func convert(
    _ data: UnsafeMutableRawBufferPointer, _ format: Format, to elements: UnsafeMutableRawBufferPointer
  ) {
    guard format.width < format.type.byteWidth else { return reverseBytes(of: data, width: format.width) }
    let wide = elements.assumingMemoryBound(to: Int32.self)
    for i in wide.indices {
      wide[i] =
        format.width == 1
        ? Int32(Int8(bitPattern: data[i]))
        : Int32(Int16(bitPattern: UInt16(data[2 * i]) << 8 | UInt16(data[2 * i + 1])))
    }
  }
}
