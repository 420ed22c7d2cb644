import Foundation
import Martlet
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// Sessions on a stand-in machine.
final class StubSession {
  let machine: StubMachine
  private let options: SessionOptions

  /// Kernels are compiled once for all machines, and kept for the time of the tests.
  private static let compiler = Result { try CUDAStub() }
  private static let cache = FileManager.default.temporaryDirectory.appending(path: "martlet-cuda-\(UUID().uuidString)")
    .path

  /// - Parameters:
  ///   - seed: of the order in which work is carried out.
  ///   - options: beside the device.
  init(seed: UInt64 = 0, options: SessionOptions = SessionOptions()) throws {
    machine = try StubMachine(seed: seed)
    let path = machine.stub.path
    var options = options
    options.device = .cuda(0)
    options.codeCache = .folder(Self.cache)
    options.cudaLibraries = CUDALibraries(
      driver: path, nvrtc: try Self.compiler.get().path, cublasLt: path, cudnn: path)
    self.options = options
  }

  func callAsFunction(_ graph: Graph) throws -> Session { try Session(graph, options: options) }

  /// Expects that runs on the GPU and by the interpreter give the same, and that nothing was misused or left behind.
  static func check(
    _ graph: Graph, _ fetches: [Output], feeds: [Output: Tensor] = [:], targets: [GraphNode] = [],
    variables: [(handle: Output, value: Tensor)] = [], seeds: [UInt64] = [0, 1], runs: Int = 2,
    options: SessionOptions = SessionOptions(), relative: Double = 1e-5, absolute: Double = 1e-6,
    sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) throws {
    func results(_ session: Session) throws -> [Tensor] {
      for (handle, value) in variables { try session.assign(handle, value) }
      var all: [Tensor] = []
      for _ in 0..<runs { all += try session.run(fetches, feeds: feeds, targets: targets) }
      return try all + variables.map { try session.value(of: $0.handle) }
    }
    let expected = try results(try Session(graph, options: SessionOptions(device: .interpreter)))
    for seed in seeds {
      let stub = try StubSession(seed: seed, options: options)
      let found = try { try results(try stub(graph)) }()
      for (i, (found, expected)) in zip(found, expected).enumerated() {
        expectClose(
          found, expected, relative: relative, absolute: absolute, "array \(i), seed \(seed)",
          sourceLocation: sourceLocation)
      }
      stub.machine.expectClean(sourceLocation: sourceLocation)
    }
  }
}
