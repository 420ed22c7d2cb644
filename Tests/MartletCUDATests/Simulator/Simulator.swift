import Foundation
import MartletGraph
import MartletLoopIR
import MartletTensors
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// Kernels compiled for the host, behind a header that stands in for CUDA.
final class Simulator: @unchecked Sendable {
  struct Failure: Error, CustomStringConvertible { var description: String }
  /// `martlet_status`.
  struct Status: Equatable {
    var site: Int64 = 0
    var index: Int64 = 0
    var code: Int32 = 0
    var reserved: Int32 = 0
  }

  private let handle: UnsafeMutableRawPointer
  /// A library simulates one kernel at a time.
  private let lock = NSLock()

  /// Compiles kernels together; clang is the one beside the Swift compiler.
  init(_ kernels: [CUDAKernel]) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-cuda-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let (source, library) = (folder.appending(path: "kernels.cpp"), folder.appending(path: "kernels.so"))
    let header = packageFolder.appending(path: "Tests/MartletCUDATests/Simulator/Simulator.h")
    var known: Set<String> = []
    let wrappers = kernels.filter { known.insert($0.key).inserted }.flatMap(Self.wrappers)
    let text =
      "#include \"\(header.path)\"\n" + (kernels.count == 1 ? kernels[0].source : CUDAKernel.source(kernels)) + "\n"
      + wrappers.joined(separator: "\n")
    try text.write(to: source, atomically: false, encoding: .utf8)
    let process = Process()
    process.executableURL = try Self.clang()
    process.arguments = [
      "-std=c++17", "-O1", "-ffp-contract=off", "-fno-fast-math", "-w", "-shared", "-fPIC", "-nostdlib++", "-o",
      library.path, source.path, "-lm",
    ]
    let errors = Pipe()
    process.standardError = errors
    try process.run()
    let said = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw Failure(description: String(decoding: said, as: UTF8.self)) }
    guard let handle = dlopen(library.path, RTLD_NOW | RTLD_LOCAL) else {
      throw Failure(description: String(cString: dlerror()))
    }
    self.handle = handle
  }

  deinit { dlclose(handle) }

  private static func clang() throws -> URL {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map {
      URL(filePath: "\($0)")
    }
    let swift = folders.map { $0.appending(path: "swift") }.first {
      FileManager.default.isExecutableFile(atPath: $0.path)
    }
    let beside = swift.map { [$0.resolvingSymlinksInPath().deletingLastPathComponent()] } ?? []
    let all = (beside + folders).map { $0.appending(path: "clang++") }
    guard let found = all.first(where: { FileManager.default.isExecutableFile(atPath: $0.path) }) else {
      throw Failure(description: "there is no clang++ beside swift or on the path")
    }
    return found
  }

  /// Functions that take the arguments as an array.
  private static func wrappers(_ kernel: CUDAKernel) -> [String] {
    let types = (kernel.inputs + kernel.outputs + kernel.temporaries).map(\.elementType)
    let status = kernel.program == nil ? "martlet_status" : "m_status"
    let arguments = (types.map { "\($0.kernelType)*" } + ["const long long*", "\(status)*"]).enumerated().map {
      "(\($1))a[\($0)]"
    }
    return kernel.launches.map { launch in
      """
      extern "C" void simulate_\(launch.entry)(void **a, int blocks, int threads, int reversed) {
        m_run([](void **a) { \(launch.entry)(\(arguments.joined(separator: ", "))); }, a, blocks, threads, reversed);
      }
      """
    }
  }

  /// Runs a kernel and returns its outputs and what the status says.
  ///
  /// - Parameters:
  ///   - isReversed: Whether blocks and threads take turns in descending order: a missing barrier shows.
  ///   - shift: Elements by which arrays begin behind an address that is a multiple of 64.
  func run(
    _ kernel: CUDAKernel, _ inputs: [Tensor], parameters: [Int64] = [0, 0, 0, 0], isReversed: Bool = false,
    shift: Int = 0
  ) throws -> (outputs: [Tensor], status: Status) {
    lock.lock()
    defer { lock.unlock() }
    let types = kernel.inputs + kernel.outputs + kernel.temporaries
    let guardBytes = 64
    var memory: [UnsafeMutableRawPointer] = []
    var addresses: [UnsafeMutableRawPointer?] = []
    defer { memory.forEach { $0.deallocate() } }
    for type in types {
      let offset = shift * type.elementType.byteWidth
      let bytes = UnsafeMutableRawPointer.allocate(byteCount: type.byteCount + offset + guardBytes, alignment: 64)
      bytes.initializeMemory(as: UInt8.self, repeating: 0xA5, count: type.byteCount + offset + guardBytes)
      memory.append(bytes)
      addresses.append(bytes + offset)
    }
    for (address, tensor) in zip(addresses, inputs) {
      tensor.withUnsafeBytes { if let base = $0.baseAddress { address!.copyMemory(from: base, byteCount: $0.count) } }
    }
    var status = Status()
    try parameters.withUnsafeBytes { parameters in
      try withUnsafeMutableBytes(of: &status) { status in
        addresses.append(UnsafeMutableRawPointer(mutating: parameters.baseAddress!))
        addresses.append(status.baseAddress!)
        for launch in kernel.launches {
          typealias Entry = @convention(c) (UnsafeMutablePointer<UnsafeMutableRawPointer?>, Int32, Int32, Int32) -> Void
          guard let symbol = dlsym(handle, "simulate_\(launch.entry)") else {
            throw Failure(description: "\(launch.entry) was not compiled")
          }
          let entry = unsafeBitCast(symbol, to: Entry.self)
          entry(&addresses, Int32(launch.blocks), Int32(launch.threads), isReversed ? 1 : 0)
        }
      }
    }
    for (address, type) in zip(addresses, types) {
      let end = UnsafeRawBufferPointer(start: address! + type.byteCount, count: guardBytes)
      #expect(end.allSatisfy { $0 == 0xA5 }, "a kernel wrote behind \(type)\n\(SimulatedKernels.describe(kernel))")
    }
    let results = kernel.outputs.enumerated().map { number, type in
      let tensor = Tensor(uninitialized: type.elementType, shape: type.extents)
      tensor.storage.bytes.copyMemory(from: addresses[inputs.count + number]!, byteCount: type.byteCount)
      return tensor
    }
    return (results, status)
  }
}
