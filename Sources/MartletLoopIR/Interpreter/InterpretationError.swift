/// Why the interpretation of a kernel gave no result.
public enum InterpretationError: Error, Hashable, Sendable {
  /// An index was outside the extent that a `checkIndex` with this code allows; the first that was met.
  case badIndex(code: Int64, index: Int64)
  /// A load without a guard, or a store, was outside its buffer: the kernel is malformed.
  case outOfBounds(name: String, offset: Int64, elementCount: Int)
  /// The arguments do not fit the kernel's buffers.
  case arguments(String)
}

/// What went wrong so far. Interpretation goes on after a failure, as compiled code does, and throws at its end.
final class InterpretationStatus {
  private(set) var failure: InterpretationError?

  func record(_ error: InterpretationError) {
    if failure == nil { failure = error }
  }

  func check() throws(InterpretationError) {
    if let failure { throw failure }
  }
}
