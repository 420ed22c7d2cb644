import Dispatch
import Synchronization

/// Generates code on threads beside the one that compiles a program, which needs the code only when it runs.
final class CodeAhead: Sendable {
  /// How many programs are being compiled.
  private let programs = Mutex(0)
  private let jobs = DispatchGroup()

  func begin() { programs.withLock { $0 += 1 } }

  /// Waits for what has been started: a process that ends must not be generating code.
  func end() {
    programs.withLock { $0 -= 1 }
    jobs.wait()
  }

  /// Starts a job.
  ///
  /// - Returns: false if no program is being compiled, whose end would wait for it.
  func start(_ job: @escaping @Sendable () -> Void) -> Bool {
    programs.withLock { programs in
      guard programs > 0 else { return false }
      DispatchQueue.global(qos: .userInitiated).async(group: jobs, execute: job)
      return true
    }
  }
}
