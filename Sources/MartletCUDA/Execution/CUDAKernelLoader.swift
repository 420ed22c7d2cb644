import MartletDiagnostics
import MartletExecution
import Synchronization

/// A kernel's entry points in the device's memory, in the order in which they are launched.
final class LoadedKernel: Sendable {
  struct Launch: Sendable {
    var function: CUDAFunction
    var blocks: Int
    var threads: Int
    var sharedBytes: Int
  }
  let launches: [Launch]

  init(_ launches: [Launch]) { self.launches = launches }
}

/// Compiles kernels and loads their code, each kind once.
final class CUDAKernelLoader: Sendable {
  private let context: CUDAContext
  private let compiler: CUDACompiler
  private let cache: CodeCache
  private let known = Mutex<[String: LoadedKernel]>([:])

  /// - Throws: a diagnostic that says what was looked for, where NVRTC is missing.
  init(_ context: CUDAContext, cache: CodeCache) throws(Diagnostic) {
    self.context = context
    self.cache = cache
    compiler = try CUDACompiler(libraries: context.libraries)
  }

  /// The code of kernels, in their order.
  func load(_ kernels: [CUDAKernel], report: inout BindingReport) throws -> [LoadedKernel] {
    var found = known.withLock { $0 }
    var missing: [CUDAKernel] = []
    var wanted: Set<String> = []
    for kernel in kernels where found[kernel.key] == nil && wanted.insert(kernel.key).inserted {
      missing.append(kernel)
    }
    report.reusedKernels += kernels.count - missing.count
    if !missing.isEmpty {
      report.generatedKernels += missing.count
      let images = try compiler.compile(missing, for: context.device, cache: cache)
      do {
        for image in images {
          let module = try CUDAModule(context, image: image.bytes)
          let keys = Set(image.keys)
          for kernel in missing where keys.contains(kernel.key) {
            found[kernel.key] = LoadedKernel(
              try kernel.launches.map {
                let function = try module.function($0.entry)
                if $0.dynamicSharedBytes > 0 { try function.allow(sharedBytes: $0.dynamicSharedBytes) }
                return LoadedKernel.Launch(
                  function: function, blocks: $0.blocks, threads: $0.threads,
                  sharedBytes: $0.dynamicSharedBytes)
              })
          }
        }
      } catch let failure as CUDAFailure {
        throw failure.diagnostic(operation: "loading \(missing.count) kernels")
      }
      known.withLock { known in known.merge(found) { first, _ in first } }
    }
    return kernels.map { kernel in
      guard let loaded = found[kernel.key] else { preconditionFailure("a kernel was not loaded") }
      return loaded
    }
  }
}
