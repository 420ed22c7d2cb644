import Glibc
import MartletDiagnostics
import MartletTensors
import Synchronization

/// The variables of a session, by name.
public final class VariableStore: Sendable {
  private let state = Mutex<[String: StoredVariable]>([:])

  public init() {}

  /// The variable of a name, made if there is none.
  ///
  /// - Throws: a diagnostic if the session has a variable of this name and another type.
  public func variable(_ name: String, type: TensorType) throws(Diagnostic) -> StoredVariable {
    let variable = state.withLock { variables in
      if let known = variables[name] { return known }
      let new = StoredVariable(number: variables.count, name: name, type: type)
      variables[name] = new
      return new
    }
    guard variable.type == type else {
      throw Diagnostic(
        "the session has a variable '\(name)' of another type", required: "\(variable.type)", found: "\(type)")
    }
    return variable
  }

  /// The variable of a name, if a run has used it.
  public subscript(name: String) -> StoredVariable? { state.withLock { $0[name] } }

  /// All variables, in the order of their first use.
  public var all: [StoredVariable] { state.withLock { Array($0.values) }.sorted { $0.number < $1.number } }
}

/// One variable: memory that runs update in place.
///
/// A run holds the lock of each of its variables, shared for those that it reads, exclusively for those that it assigns,
/// from its beginning to its end. Locks are taken in the order of the variables' numbers.
public final class StoredVariable: @unchecked Sendable {
  public let number: Int
  public let name: String
  public let type: TensorType
  private let lock: UnsafeMutablePointer<pthread_rwlock_t>
  /// Present from the first assignment on. Guarded by the lock, as is `isInitialized`.
  private(set) var storage: TensorStorage?
  private var isAssigned = false

  init(number: Int, name: String, type: TensorType) {
    (self.number, self.name, self.type) = (number, name, type)
    lock = .allocate(capacity: 1)
    // A stream of readers must not keep a training step waiting for ever.
    var attributes = pthread_rwlockattr_t()
    pthread_rwlockattr_init(&attributes)
    pthread_rwlockattr_setkind_np(&attributes, Int32(PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP))
    pthread_rwlock_init(lock, &attributes)
    pthread_rwlockattr_destroy(&attributes)
  }

  deinit {
    pthread_rwlock_destroy(lock)
    lock.deallocate()
  }

  func acquire(exclusively: Bool) {
    if exclusively { pthread_rwlock_wrlock(lock) } else { pthread_rwlock_rdlock(lock) }
  }
  func release() { pthread_rwlock_unlock(lock) }

  /// Whether it has a value. The lock is held.
  var isInitialized: Bool { isAssigned }
  func markInitialized() { isAssigned = true }

  /// The variable's memory. The lock is held, exclusively if there is no memory yet.
  func memory() -> UnsafeMutableRawPointer {
    if let storage { return storage.bytes }
    let bytes = Tensor.checkedByteCount(elementType: type.elementType, shape: type.shape.known ?? []) ?? 0
    let new = TensorStorage(byteCount: bytes)
    storage = new
    return new.bytes
  }

  /// A copy of the value; nil if the variable has none yet.
  public var value: Tensor? {
    acquire(exclusively: false)
    defer { release() }
    guard isAssigned, let storage else { return nil }
    var copy = Tensor(uninitialized: type.elementType, shape: type.shape.known ?? [])
    let count = copy.byteCount
    copy.withUnsafeMutableBytes { target in
      if let base = target.baseAddress, count > 0 { base.copyMemory(from: storage.bytes, byteCount: count) }
    }
    return copy
  }

  /// Gives the variable a value.
  ///
  /// - Throws: a diagnostic if it has another type.
  public func assign(_ value: Tensor) throws(Diagnostic) {
    guard value.elementType == type.elementType, Shape(value.shape) == type.shape else {
      throw Diagnostic(
        "the value does not fit the variable '\(name)'", required: "\(type)", found: "\(value.type)")
    }
    acquire(exclusively: true)
    defer { release() }
    let target = memory()
    value.withUnsafeBytes { bytes in
      if let base = bytes.baseAddress { target.copyMemory(from: base, byteCount: bytes.count) }
    }
    isAssigned = true
  }
}
