import MartletDiagnostics
import MartletTensors

/// NumPy's file format for one array (`.npy`).
///
///     let images = try NPY.read("images.npy")
///     try NPY.write(images, to: "copy.npy")
///
/// Versions 1.0 to 3.0 of the format are read, in either byte order and either order of the indices; the types are those that
/// Martlet computes with.
///
/// NumPy itself has no bfloat16. An array of it is written, and read, as the package ml_dtypes does it: as `'<V2'`, elements
/// of two bytes without a meaning. In Python, `np.load(path).view(ml_dtypes.bfloat16)` gives them theirs.
public enum NPY {
  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

  /// The types by NumPy's letters and sizes.
  private static let types: [(code: String, type: ElementType)] = [
    ("f4", .float32), ("f8", .float64), ("f2", .float16), ("V2", .bfloat16), ("i4", .int32), ("i8", .int64),
    ("u1", .uint8), ("b1", .bool),
  ]

  /// Reads a file.
  ///
  /// - Throws: A `Diagnostic` that names file, offset and field.
  public static func read(_ path: String) throws -> Tensor {
    let file = try FileBytes(path: path)
    defer { withExtendedLifetime(file) {} }
    return try read(file.bytes, name: path)
  }

  /// Reads bytes.
  ///
  /// - Parameter name: What to call the bytes in messages.
  /// - Throws: A `Diagnostic` that names the bytes, the offset and the field.
  public static func read(bytes: [UInt8], name: String = "npy") throws -> Tensor {
    try bytes.withUnsafeBytes { try read($0, name: name) }
  }

  private static func read(_ bytes: UnsafeRawBufferPointer, name: String) throws -> Tensor {
    guard bytes.count >= 8, bytes.starts(with: magic) else {
      throw malformed(name, offset: 0, field: "magic", "this is not an npy file")
    }
    let version = bytes[6]
    guard (1...3).contains(version), bytes[7] == 0 else {
      throw malformed(name, offset: 6, field: "version", "version \(version).\(bytes[7]) of the format is not known")
    }
    let lengthWidth = version == 1 ? 2 : 4
    let headerStart = 8 + lengthWidth
    guard bytes.count >= headerStart else {
      throw malformed(name, offset: 8, field: "header length", "the file ends here")
    }
    let headerLength = bytes[8..<headerStart].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard headerLength <= bytes.count - headerStart else {
      throw malformed(
        name, offset: 8, field: "header length",
        "\(headerLength) exceeds the \(bytes.count - headerStart) bytes that are left")
    }
    let dataStart = headerStart + headerLength
    let header = try NPYHeader(
      parsing: UnsafeRawBufferPointer(rebasing: bytes[headerStart..<dataStart]), offset: headerStart, file: name)
    let data = UnsafeRawBufferPointer(rebasing: bytes[dataStart...])
    return try tensor(header, data, name: name, headerStart: headerStart, dataStart: dataStart)
  }

  private static func tensor(
    _ header: NPYHeader, _ data: UnsafeRawBufferPointer, name: String, headerStart: Int, dataStart: Int
  ) throws -> Tensor {
    let order = header.type.first
    guard let type = types.first(where: { header.type.dropFirst() == $0.code })?.type, let order,
      "<>=".contains(order) || order == "|" && type.byteWidth == 1
    else {
      let known = types.map { "'\($0.type.byteWidth == 1 ? "|" : "<")\($0.code)'" }.joined(separator: ", ")
      throw malformed(
        name, offset: headerStart, field: "header 'descr'", "the type '\(header.type)' is not supported",
        hint: "the types \(known) are; convert the array with astype()")
    }
    guard let byteCount = Tensor.checkedByteCount(elementType: type, shape: header.shape), byteCount == data.count
    else {
      throw malformed(
        name, offset: dataStart, field: "data",
        "\(data.count) bytes are not an array of \(type) with shape \(header.shape)")
    }
    var tensor = Tensor(uninitialized: type, shape: header.shape)
    tensor.withUnsafeMutableBytes { elements in
      if header.isFortranOrder {
        copyReversingIndices(data, to: elements, shape: header.shape, width: type.byteWidth)
      } else {
        elements.copyMemory(from: data)
      }
      if order == ">" { reverseBytes(of: elements, width: type.byteWidth) }
      // A boolean in memory is 0 or 1; a file may have any byte.
      if type == .bool { for i in elements.indices where elements[i] > 1 { elements[i] = 1 } }
    }
    return tensor
  }

  /// Copies elements whose first index runs fastest to where the last index runs fastest.
  private static func copyReversingIndices(
    _ source: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer, shape: [Int], width: Int
  ) {
    guard !target.isEmpty, let source = source.baseAddress, let target = target.baseAddress else { return }
    guard let last = shape.last else { return target.copyMemory(from: source, byteCount: width) }
    var strides: [Int] = []
    var stride = width
    for extent in shape {
      strides.append(stride)
      stride *= extent
    }
    let innerStride = strides[shape.count - 1]
    var indices = Array(repeating: 0, count: shape.count)
    var row = source
    var written = target
    while true {
      for i in 0..<last {
        written.copyMemory(from: row + i * innerStride, byteCount: width)
        written += width
      }
      var axis = shape.count - 2
      while axis >= 0 {
        indices[axis] += 1
        row += strides[axis]
        if indices[axis] < shape[axis] { break }
        row -= indices[axis] * strides[axis]
        indices[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
    }
  }

  /// Writes a file, in version 1.0 of the format. A file that was there before stays until the new one is whole.
  ///
  /// - Throws: A `Diagnostic` where the file cannot be written, or NumPy's format has no such array.
  public static func write(_ tensor: Tensor, to path: String) throws {
    let header = try header(of: tensor)
    let sink = try FileSink(path: path)
    try header.withUnsafeBytes { try sink.write($0) }
    try tensor.withUnsafeBytes { bytes in try sink.write(bytes) }
    try sink.finish()
  }

  /// The bytes before the elements: a multiple of 64, so that a mapped file is aligned.
  private static func header(of tensor: Tensor) throws -> [UInt8] {
    guard let code = types.first(where: { $0.type == tensor.elementType })?.code else {
      throw Diagnostic("a tensor of \(tensor.elementType) cannot be written as npy")
    }
    let order = tensor.elementType.byteWidth == 1 ? "|" : "<"
    let extents = tensor.shape.map(String.init).joined(separator: ", ") + (tensor.rank == 1 ? "," : "")
    let dictionary = "{'descr': '\(order)\(code)', 'fortran_order': False, 'shape': (\(extents)), }"
    let prefixCount = magic.count + 4
    let unpadded = prefixCount + dictionary.utf8.count + 1
    let padding = (64 - unpadded % 64) % 64
    let length = dictionary.utf8.count + padding + 1
    guard length <= UInt16.max else { throw Diagnostic("a tensor of rank \(tensor.rank) cannot be written as npy") }
    return magic + [1, 0, UInt8(length & 0xff), UInt8(length >> 8)] + Array(dictionary.utf8)
      + Array(repeating: UInt8(ascii: " "), count: padding) + [UInt8(ascii: "\n")]
  }
}
