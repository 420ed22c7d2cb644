import Glibc
import MartletDiagnostics

/// A file that is written in full or not at all: the bytes go to a file beside it, which takes its name at the end.
final class FileSink {
  private let path: String
  private let temporaryPath: String?
  private let descriptor: Int32
  private var isOpen = true

  /// Opens a file for writing.
  ///
  /// - Throws: A `Diagnostic` where that is not possible.
  init(path: String) throws {
    self.path = path
    var status = stat()
    let isSpecial = stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFREG
    let temporaryPath = isSpecial ? nil : "\(path).\(getpid()).partial"
    let flags = O_WRONLY | O_CLOEXEC | O_TRUNC | (isSpecial ? 0 : O_CREAT)
    descriptor = open(temporaryPath ?? path, flags, 0o666)
    self.temporaryPath = temporaryPath
    guard descriptor >= 0 else {
      isOpen = false
      throw Diagnostic("\(path) cannot be written: \(String(cString: strerror(errno)))")
    }
  }

  /// Appends bytes.
  func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes
    while let base = rest.baseAddress, !rest.isEmpty {
      let written = Glibc.write(descriptor, base, rest.count)
      if written < 0 {
        if errno == EINTR { continue }
        throw Diagnostic("\(path) cannot be written: \(String(cString: strerror(errno)))")
      }
      rest = UnsafeRawBufferPointer(rebasing: rest[written...])
    }
  }

  /// Gives the file its name. Without this call, what was there before stays.
  func finish() throws {
    isOpen = false
    let closed = close(descriptor)
    var succeeded = closed == 0
    if succeeded, let temporaryPath { succeeded = rename(temporaryPath, path) == 0 }
    if !succeeded {
      let reason = String(cString: strerror(errno))
      if let temporaryPath { unlink(temporaryPath) }
      throw Diagnostic("\(path) cannot be written: \(reason)")
    }
  }

  deinit {
    guard isOpen else { return }
    close(descriptor)
    if let temporaryPath { unlink(temporaryPath) }
  }
}
