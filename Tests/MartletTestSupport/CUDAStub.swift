import Foundation

/// A stand-in for CUDA's libraries, one machine with state of its own; see `Tests/CUDAStub`.
///
///     let stub = try CUDAStub()
///     let libraries = CUDALibraries(driver: stub.path, nvrtc: stub.path, cublasLt: stub.path, cudnn: stub.path)
public final class CUDAStub: @unchecked Sendable {
  public struct Failure: Error, CustomStringConvertible { public var description: String }

  /// The shared library. It stays until the object goes.
  public let path: String
  private let handle: UnsafeMutableRawPointer

  /// - Parameter seed: 0 does what is waited for and nothing else, latest work first; other seeds draw lots.
  public init(seed: UInt64 = 0) throws {
    let built = try Self.built.get()
    // The loader gives each file state of its own.
    path = FileManager.default.temporaryDirectory.appending(path: "martlet-stub-\(UUID().uuidString).so").path
    try FileManager.default.copyItem(atPath: built, toPath: path)
    guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
      throw Failure(description: dlerror().map { String(cString: $0) } ?? path)
    }
    self.handle = handle
    self.seed(seed)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  // MARK: What it is told

  /// Has a call fail: the `nth` from now on, 1 being the next, or -1 for all.
  public func fail(_ call: String, nth: Int = 1, code: Int) {
    typealias Function = @convention(c) (UnsafePointer<CChar>, Int32, Int32) -> Void
    unsafeBitCast(symbol("stub_fail"), to: Function.self)(call, Int32(nth), Int32(code))
  }

  public func seed(_ seed: UInt64) {
    typealias Function = @convention(c) (UInt64) -> Void
    unsafeBitCast(symbol("stub_seed"), to: Function.self)(seed)
  }

  public func setDeviceCount(_ count: Int) {
    typealias Function = @convention(c) (Int32) -> Void
    unsafeBitCast(symbol("stub_set_device_count"), to: Function.self)(Int32(count))
  }

  /// The compute capability of the devices, such as 90.
  public func setCapability(_ capability: Int) {
    typealias Function = @convention(c) (Int32) -> Void
    unsafeBitCast(symbol("stub_set_capability"), to: Function.self)(Int32(capability))
  }

  /// The memory of each device.
  public func setDeviceBytes(_ bytes: Int) {
    typealias Function = @convention(c) (Int) -> Void
    unsafeBitCast(symbol("stub_set_device_bytes"), to: Function.self)(bytes)
  }

  // MARK: What it tells

  /// All misuse so far.
  public var report: [String] { lines("stub_report") }
  /// What was made and not given back.
  public var leaks: [String] { lines("stub_leaks") }

  public func clearReport() {
    unsafeBitCast(symbol("stub_clear_report"), to: (@convention(c) () -> Void).self)()
  }

  /// How often a function was called, or under `pageable copies` how many copies were from or to memory that is not pinned.
  public func count(_ call: String) -> Int {
    typealias Function = @convention(c) (UnsafePointer<CChar>) -> Int
    return unsafeBitCast(symbol("stub_count"), to: Function.self)(call)
  }

  private func lines(_ name: String) -> [String] {
    typealias Function = @convention(c) () -> UnsafePointer<CChar>
    return String(cString: unsafeBitCast(symbol(name), to: Function.self)()).split(separator: "\n").map { String($0) }
  }

  private func symbol(_ name: String) -> UnsafeMutableRawPointer {
    guard let symbol = dlsym(handle, name) else { fatalError("the stub has no function \(name)") }
    return symbol
  }

  // MARK: Building

  /// The library, built where there is none of the same sources yet.
  private static let built = Result { () throws -> String in
    let folder = packageFolder.appending(path: "Tests/CUDAStub")
    let script = packageFolder.appending(path: "Scripts/build-cuda-stub")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for file in names.map({ folder.appending(path: $0) }) + [script] {
      for byte in try Data(contentsOf: file) + Data(file.path.utf8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    }
    let library = FileManager.default.temporaryDirectory.appending(path: "martlet-cuda-stub-\(hash).so").path
    if FileManager.default.fileExists(atPath: library) { return library }
    let process = Process()
    process.executableURL = script
    process.arguments = [library]
    let messages = Pipe()
    process.standardError = messages
    try process.run()
    let said = messages.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Failure(description: String(decoding: said, as: UTF8.self)) }
    return library
  }
}
