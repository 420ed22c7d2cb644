import Foundation
import MartletCUDA
import MartletDiagnostics
import MartletExecution
import MartletTestSupport
import Testing

/// Many kernels compiled at once, and code kept on disk.
@Suite(.enabled(if: CompilationTests.isThere, "NVRTC is not installed: run 'make setup-cuda-test'"))
final class CompiledImageTests {
  let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-images-\(UUID().uuidString)").path
  let kernels = [Sample.biasAdd(3, 5), Sample.softmax(3, 4), Sample.biasAdd(3, 5), Sample.biasAdd(2, 7)].map {
    CUDAKernel($0, for: .h100)
  }
  deinit { try? FileManager.default.removeItem(atPath: folder) }

  private func compile(_ kernels: [CUDAKernel], in cache: CodeCache) throws -> [CUDAImage] {
    try CompilationTests.compiler.get().compile(kernels, for: .h100, cache: cache)
  }

  @Test func everyDistinctKernelIsInOneImage() throws {
    let images = try compile(kernels, in: .off)
    #expect(images.flatMap(\.keys).sorted() == Set(kernels.map(\.key)).sorted())
    for image in images {
      #expect(image.bytes.starts(with: [0x7F] + Array("ELF".utf8)))
      for kernel in kernels where image.keys.contains(kernel.key) {
        for launch in kernel.launches { #expect(Data(image.bytes).range(of: Data(launch.entry.utf8)) != nil) }
      }
    }
    #expect(try compile([], in: .off).isEmpty)
  }

  @Test func codeIsFoundAgain() throws {
    let first = try compile(kernels, in: .folder(folder))
    let image = try #require(first.first { $0.keys.contains(kernels[1].key) })
    // Compiled alone, the code would be another.
    let again = try compile([kernels[1]], in: .folder(folder))
    #expect(again.map(\.keys) == [[kernels[1].key]] && again[0].bytes == image.bytes)
    let new = CUDAKernel(Sample.biasAdd(6, 2), for: .h100)
    let more = try compile([new, kernels[0], kernels[3]], in: .folder(folder))
    #expect(more.flatMap(\.keys).sorted() == [new.key, kernels[0].key, kernels[3].key].sorted())
    #expect(more.first?.keys == [new.key])
  }

  @Test func damagedFilesAreReplaced() throws {
    _ = try compile(kernels, in: .folder(folder))
    for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
      let handle = try #require(FileHandle(forUpdatingAtPath: "\(folder)/\(name)"))
      try handle.seek(toOffset: 3000)
      try handle.write(contentsOf: Data(repeating: 0xEE, count: 8))
      try handle.close()
    }
    let images = try compile(kernels, in: .folder(folder))
    #expect(images.flatMap(\.keys).sorted() == Set(kernels.map(\.key)).sorted())
    #expect(images.map(\.bytes) == (try compile(kernels, in: .off)).map(\.bytes))
    #expect(images.map(\.bytes) == (try compile(kernels, in: .folder(folder))).map(\.bytes))
  }

  @Test func architectures() throws {
    let compiler = try CompilationTests.compiler.get()
    func architecture(_ capability: Int) throws -> String {
      try compiler.architecture(for: CUDADevice(capability: capability, multiprocessors: 1))
    }
    #expect(try architecture(75) == "sm_75" && architecture(90) == "sm_90")
    // Newer than what is known, of the same generation.
    #expect(try architecture(79) == "sm_75")
    // Of a newer generation: the driver compiles PTX. An older one does not run what NVRTC makes.
    #expect(try architecture(1990).hasPrefix("compute_"))
    #expect(throws: Diagnostic.self) { try architecture(61) }
  }
}
