import CMartletRuntime
import MartletDiagnostics

/// Decompresses gzip as it is asked for, so that no more memory is taken than the caller provides.
struct GzipReader: ~Copyable {
  /// The most bytes that one compressed byte can stand for in the deflate format.
  static let largestRatio = 1032

  private let inflater: OpaquePointer
  private let name: String

  /// Whether bytes are in the gzip format.
  static func recognizes(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.count >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b
  }

  /// A reader of bytes, which must outlive it.
  ///
  /// - Parameter name: The name of the file, for messages.
  /// - Throws: A `Diagnostic` where zlib cannot be loaded.
  init(_ bytes: UnsafeRawBufferPointer, name: String) throws {
    let source = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    let (inflater, problem) = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { message in
      let inflater = martlet_inflater_open(source, Int64(bytes.count), message.baseAddress, message.count)
      return (inflater, inflater == nil ? String(cString: message.baseAddress!) : "")
    }
    guard let inflater else {
      throw Diagnostic("\(name) is compressed, and cannot be read: \(problem)")
    }
    self.inflater = inflater
    self.name = name
  }

  deinit { martlet_inflater_close(inflater) }

  /// Writes the next bytes to a buffer, and returns how many: fewer than it holds only at the end.
  ///
  /// - Throws: A `Diagnostic` that names file and offset, where the input is broken.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard let base = buffer.baseAddress, !buffer.isEmpty else { return 0 }
    let count = martlet_inflater_read(inflater, base.assumingMemoryBound(to: UInt8.self), Int64(buffer.count))
    guard count >= 0 else {
      let problem = martlet_inflater_error(inflater).map { String(cString: $0) } ?? "the data are broken"
      throw malformed(name, offset: Int(martlet_inflater_position(inflater)), field: "gzip", problem)
    }
    return Int(count)
  }
}
