import CMartletRuntime
import Dispatch
import MartletLoopIR
import Synchronization

/// Generates code again in the background, a few kernels at a time.
///
/// A process that ends waits for the few that are being compiled, as it must not unload LLVM under them, and not for those
/// that wait.
final class CodeRefinement: Sendable {
  struct Request: Sendable {
    var nest: Nest
    /// Takes the new code.
    var install: @Sendable (CompiledKernel) -> Void
  }

  private struct State {
    var waiting: [Request] = []
    var isRunning = false
  }

  private let state = Mutex(State())
  private let running = DispatchGroup()

  /// So many kernels take about 20 ms, of which LLVM takes 1.5 ms to set itself up.
  private static let batch = 8

  /// - Parameter generate: Compiles some requests and installs their code.
  func add(_ request: Request, generate: @escaping @Sendable ([Request]) -> Void) {
    let starts = state.withLock { state in
      state.waiting.append(request)
      defer { state.isRunning = true }
      return !state.isRunning
    }
    guard starts else { return }
    DispatchQueue.global(qos: .background).async(group: running) { [self] in
      while let batch = next() {
        guard martlet_llvm_background_begin() != 0 else { return }
        generate(batch)
        martlet_llvm_background_end()
      }
    }
  }

  /// Waits until nothing waits any more.
  func finish() { running.wait() }

  private func next() -> [Request]? {
    state.withLock { state in
      if state.waiting.isEmpty {
        state.isRunning = false
        return nil
      }
      let batch = Array(state.waiting.prefix(Self.batch))
      state.waiting.removeFirst(batch.count)
      return batch
    }
  }
}
