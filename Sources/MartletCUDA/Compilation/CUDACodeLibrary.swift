import MartletDiagnostics
import MartletExecution

/// Machine code of kernels on disk, for one version of the compiler and one architecture.
struct CUDACodeLibrary {
  private let store: CodeStore
  /// What code depends on beside its source; kept and compared with it.
  private let context: String
  private let contextDigest: String

  /// nil if nothing is to be kept, or nothing can be.
  init?(_ cache: CodeCache, compiler: CUDACompiler, _ architecture: String) {
    guard let path = cache.path, let store = try? CodeStore(path), let stamp = CodeStore.stamp(compiler.path) else {
      return nil
    }
    self.store = store
    context = """
      NVRTC \(compiler.version.major).\(compiler.version.minor) \(stamp)
      \(CUDACompiler.options.joined(separator: " ")) \(architecture)
      \(Prelude.digest)
      """
    contextDigest = CodeStore.digest(context)
  }

  private func name(_ kernel: CUDAKernel) -> String { "cuda-\(contextDigest)-\(kernel.key)" }

  /// The images that have kernels' code, and the kernels of which there is none.
  func load(_ kernels: [CUDAKernel]) -> (images: [CUDAImage], missing: [CUDAKernel]) {
    let found = store.read(kernels.map(name))
    let files = found.contents.map { content in
      CodeFile(content).flatMap { $0.context == context ? (file: $0, sources: Set($0.kernels)) : nil }
    }
    var images = files.map { CUDAImage(bytes: $0?.file.object ?? [], keys: []) }
    var missing: [CUDAKernel] = []
    for (kernel, number) in zip(kernels, found.numbers) {
      if let number, let file = files[number], file.sources.contains(Array(kernel.body.utf8)) {
        images[number].keys.append(kernel.key)
      } else {
        // What is there is of no use; its place is needed.
        if number != nil { store.remove(name(kernel)) }
        missing.append(kernel)
      }
    }
    return (images.filter { !$0.keys.isEmpty }, missing)
  }

  func save(_ cubin: [UInt8], _ kernels: [CUDAKernel]) {
    let file = CodeFile(context: context, kernels: kernels.map { Array($0.body.utf8) }, object: cubin)
    store.write(file.bytes, names: kernels.map(name))
  }
}
