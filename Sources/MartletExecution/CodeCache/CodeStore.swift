import Foundation
import MartletDiagnostics
import Synchronization

/// A folder of files with machine code, which any number of processes may use at once.
///
/// A file is written under a temporary name and then linked to the name of each kernel that is in it, so that it is whole
/// or not there. Reading marks it as used; what was used longest ago is deleted when there is too much. A file that is
/// damaged, or that is not the user's own, is as good as none. All names end in `.mcode`; what else lies in the folder is
/// neither counted nor deleted.
package final class CodeStore: @unchecked Sendable {
  package let path: String
  private let directory: CInt
  private let limit: Int
  /// Bytes of all files, once they were counted.
  private let used = Mutex<Int?>(nil)
  private static let nextNumber = Atomic<Int>(0)

  package static let standardLimit = 512 << 20

  /// - Parameter limit: how many bytes are kept.
  /// - Throws: a diagnostic if the folder cannot be made, is a link or somebody else's, or can be written by
  ///   others.
  package init(_ path: String, limit: Int = standardLimit) throws(Diagnostic) {
    self.path = path
    self.limit = limit
    try? FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    var status = stat()
    guard directory >= 0, fstat(directory, &status) == 0 else {
      throw Diagnostic(
        "the folder for machine code cannot be opened", found: "\(path): \(String(cString: strerror(errno)))")
    }
    guard status.st_uid == geteuid(), status.st_mode & 0o022 == 0 else {
      throw Diagnostic(
        "the folder for machine code is not safe", required: "a folder of the user's own that nobody else can write to",
        found: path, hint: "chmod 700 it, or name another one in MARTLET_CACHE")
    }
  }

  deinit { close(directory) }

  private static let suffix = ".mcode"

  private static func fileName(_ name: String) -> String { name + suffix }

  /// Tells a file, such as a compiler's library, from what may take its place: its size, time and number.
  package static func stamp(_ path: String) -> String? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return "\(status.st_size)-\(status.st_mtim.tv_sec)-\(status.st_mtim.tv_nsec)-\(status.st_ino)"
  }

  /// A hash for the names of files. Source: G. Fowler, L. C. Noll, K.-P. Vo, the FNV hash (1a).
  package static func digest(_ text: String) -> String {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
    return String(hash, radix: 16)
  }

  // MARK: Reading

  /// Tells files from each other that have several names.
  struct FileID: Hashable {
    var device: UInt64
    var number: UInt64
  }

  /// The files of these names; for each the number of its content among `contents`, nil if there is none.
  package func read(_ names: [String]) -> (numbers: [Int?], contents: [[UInt8]]) {
    var known: [FileID: Int?] = [:]
    var contents: [[UInt8]] = []
    let numbers = names.map { name -> Int? in
      let file = openat(directory, Self.fileName(name), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)
      guard file >= 0 else { return nil }
      defer { close(file) }
      var status = stat()
      guard fstat(file, &status) == 0, Self.isTrusted(status) else { return nil }
      let id = FileID(device: UInt64(status.st_dev), number: UInt64(status.st_ino))
      if let number = known[id] { return number }
      if time(nil) - status.st_mtim.tv_sec > Self.leastAge { futimens(file, nil) }
      let content = Self.content(of: file, byteCount: Int(status.st_size))
      known[id] = content.map {
        contents.append($0); return contents.count - 1
      }
      return known[id] ?? nil
    }
    return (numbers, contents)
  }

  /// Seconds after which a file that is used is marked again.
  private static let leastAge = 600

  private static func isTrusted(_ status: stat) -> Bool {
    status.st_mode & S_IFMT == S_IFREG && status.st_uid == geteuid() && status.st_mode & 0o022 == 0
      && status.st_size <= standardLimit
  }

  private static func content(of file: CInt, byteCount: Int) -> [UInt8]? {
    let bytes = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
      while count < byteCount {
        let found = pread(file, buffer.baseAddress! + count, byteCount - count, count)
        if found <= 0 { break }
        count += found
      }
    }
    return bytes.count == byteCount ? bytes : nil
  }

  /// Deletes a file that is of no use.
  package func remove(_ name: String) { unlinkat(directory, Self.fileName(name), 0) }

  // MARK: Writing

  /// Writes a file under all of the names that are not taken. A folder that is full or cannot be written to is not a
  /// mistake: the code is there, it will only have to be generated again.
  package func write(_ bytes: [UInt8], names: [String]) {
    let number = Self.nextNumber.add(1, ordering: .relaxed).newValue
    let temporary = Self.fileName("\(Self.temporaryPrefix)\(getpid())-\(number)")
    let file = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
    guard file >= 0 else { return }
    var written = 0
    bytes.withUnsafeBytes { buffer in
      while written < buffer.count {
        let count = pwrite(file, buffer.baseAddress! + written, buffer.count - written, written)
        if count <= 0 { break }
        written += count
      }
    }
    close(file)
    if written == bytes.count {
      for name in names { linkat(directory, temporary, directory, Self.fileName(name), 0) }
    }
    unlinkat(directory, temporary, 0)
    let total = used.withLock { used in
      let total = used.map { $0 + bytes.count } ?? content.bytes
      used = total
      return total
    }
    if total > limit { trim() }
  }

  private static let temporaryPrefix = ".new-"
  /// Seconds after which a temporary file is one that a process has left behind.
  private static let abandonedAge = 3600

  // MARK: Size

  private struct Entry {
    var names: [String] = []
    var bytes = 0
    var seconds = 0
    var nanoseconds = 0
  }

  /// The files, each with all its names in order, the one used longest ago first.
  private func entries() -> [Entry] {
    var entries: [FileID: Entry] = [:]
    guard let listing = fdopendir(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) else { return [] }
    defer { closedir(listing) }
    while let item = readdir(listing) {
      let name = withUnsafeBytes(of: &item.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      guard name.hasSuffix(Self.suffix) else { continue }
      var status = stat()
      guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0, status.st_mode & S_IFMT == S_IFREG else {
        continue
      }
      if name.hasPrefix(Self.temporaryPrefix) {
        if time(nil) - status.st_mtim.tv_sec > Self.abandonedAge { unlinkat(directory, name, 0) }
        continue
      }
      let id = FileID(device: UInt64(status.st_dev), number: UInt64(status.st_ino))
      var entry = entries[id] ?? Entry()
      entry.names.append(name)
      entry.bytes = Int(status.st_size)
      (entry.seconds, entry.nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
      entries[id] = entry
    }
    return entries.values.map { entry in
      var entry = entry
      entry.names.sort()
      return entry
    }.sorted { ($0.seconds, $0.nanoseconds, $0.names[0]) < ($1.seconds, $1.nanoseconds, $1.names[0]) }
  }

  package var content: CodeCache.Content {
    let entries = entries()
    return CodeCache.Content(files: entries.count, bytes: entries.reduce(0) { $0 + $1.bytes }, limit: limit)
  }

  /// Deletes what was used longest ago, until there is room again.
  private func trim() {
    let entries = entries()
    var total = entries.reduce(0) { $0 + $1.bytes }
    for entry in entries where total > limit / 5 * 4 {
      for name in entry.names { unlinkat(directory, name, 0) }
      total -= entry.bytes
    }
    used.withLock { $0 = total }
  }
}
