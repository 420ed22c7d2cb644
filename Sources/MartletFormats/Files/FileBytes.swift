import Glibc
import MartletDiagnostics

/// The bytes of a file, mapped into memory where it is a regular file.
final class FileBytes {
  let path: String
  let bytes: UnsafeRawBufferPointer
  private let isMapped: Bool

  /// Opens a file.
  ///
  /// - Throws: A `Diagnostic` where it cannot be read, or has more than `limit` bytes.
  init(path: String, limit: Int = .max) throws {
    self.path = path
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Self.failure("cannot be opened", path, errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Self.failure("cannot be examined", path, errno) }
    guard status.st_mode & S_IFMT != S_IFDIR else { throw Diagnostic("\(path) is a folder, not a file") }

    guard status.st_mode & S_IFMT == S_IFREG else {
      bytes = try Self.readToEnd(descriptor, path: path, limit: limit)
      isMapped = false
      return
    }
    let count = Int(status.st_size)
    guard count <= limit else { throw Self.tooLarge(path, limit: limit) }
    guard count > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      isMapped = false
      return
    }
    guard let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
      throw Self.failure("cannot be mapped", path, errno)
    }
    bytes = UnsafeRawBufferPointer(start: base, count: count)
    isMapped = true
  }

  deinit {
    guard let base = UnsafeMutableRawPointer(mutating: bytes.baseAddress) else { return }
    if isMapped { munmap(base, bytes.count) } else { free(base) }
  }

  /// Reads a pipe or a device, whose length is not known beforehand.
  private static func readToEnd(_ descriptor: Int32, path: String, limit: Int) throws -> UnsafeRawBufferPointer {
    var capacity = 1 << 16
    var count = 0
    var buffer = malloc(capacity)!
    while true {
      let received = read(descriptor, buffer + count, capacity - count)
      if received == 0 { return UnsafeRawBufferPointer(start: buffer, count: count) }
      if received < 0 {
        if errno == EINTR { continue }
        let error = errno
        free(buffer)
        throw failure("cannot be read", path, error)
      }
      count += received
      if count > limit {
        free(buffer)
        throw tooLarge(path, limit: limit)
      }
      if count == capacity {
        capacity *= 2
        buffer = realloc(buffer, capacity)!
      }
    }
  }

  private static func failure(_ what: String, _ path: String, _ error: Int32) -> Diagnostic {
    Diagnostic("\(path) \(what): \(String(cString: strerror(error)))")
  }

  private static func tooLarge(_ path: String, limit: Int) -> Diagnostic {
    Diagnostic("\(path) has more than the \(limit) bytes that a file of its kind may have")
  }
}
