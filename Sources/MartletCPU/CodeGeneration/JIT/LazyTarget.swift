import MartletDiagnostics
import MartletExecution
import Synchronization

/// A code target that is made, and LLVM with it loaded, when it is first needed.
final class LazyTarget: Sendable {
  private let processor: String?
  private let made = Mutex<CodeTarget?>(nil)

  init(_ processor: String?) { self.processor = processor }

  func value() throws(Diagnostic) -> CodeTarget {
    try made.withLock { (made) throws(Diagnostic) in
      if let made { return made }
      let new = try CodeTarget(processor: processor)
      made = new
      return new
    }
  }

  /// What code depends on, without loading LLVM if an earlier process has told; nil if code must not be kept.
  func context(_ store: CodeStore) throws(Diagnostic) -> CodeContext? {
    guard processor == nil else { return nil }
    if let recorded = CodeContext(recordedIn: store) { return recorded }
    guard let context = CodeContext(try value()) else { return nil }
    context.record(in: store)
    return context
  }
}
