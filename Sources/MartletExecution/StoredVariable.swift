import Glibc
import MartletDiagnostics
import MartletTensors
import Synchronization

/// A variable's memory on another device than the processor.
package protocol DeviceVariable: AnyObject, Sendable {
  /// Copies the variable's bytes to the device.
  func store(_ bytes: UnsafeRawPointer) throws
  /// Copies the variable's bytes from the device.
  func load(_ bytes: UnsafeMutableRawPointer) throws
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
  /// Guarded by `lock`, and where runs that read bring the value to where they need it, by itself, too.
  private let content = Mutex(Content())

  private struct Content {
    /// Present from the first use by the processor on.
    var storage: TensorStorage?
    var device: (any DeviceVariable)?
    /// Where the value is up to date; nowhere before the first assignment.
    var isOnHost = false
    var isOnDevice = false
  }

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

  package func acquire(exclusively: Bool) {
    if exclusively { pthread_rwlock_wrlock(lock) } else { pthread_rwlock_rdlock(lock) }
  }
  package func release() { pthread_rwlock_unlock(lock) }

  private var byteCount: Int {
    Tensor.checkedByteCount(elementType: type.elementType, shape: type.shape.known ?? []) ?? 0
  }

  /// Whether it has a value. The lock is held.
  package var isInitialized: Bool { content.withLock { $0.isOnHost || $0.isOnDevice } }

  /// Notes that a run has assigned the memory of the processor, or of the device. The lock is held exclusively.
  package func markAssigned(onDevice: Bool = false) {
    content.withLock { ($0.isOnHost, $0.isOnDevice) = (!onDevice, onDevice) }
  }

  /// The variable's memory for the processor, which has the value if there is one. The lock is held, exclusively by
  /// runs that assign it.
  package func memory() throws -> UnsafeMutableRawPointer { try content.withLock { try hostStorage(&$0).bytes } }

  /// The variable's memory on the session's device, which has the value if there is one. The lock is held.
  ///
  /// - Parameter make: makes it, the first time.
  package func deviceMemory<Memory: DeviceVariable>(_ make: () throws -> Memory) throws -> Memory {
    try content.withLock { content in
      let device: any DeviceVariable = if let known = content.device { known } else { try make() }
      guard let memory = device as? Memory else {
        preconditionFailure("the variable '\(name)' is used by two kinds of devices")
      }
      content.device = memory
      if content.isOnHost, !content.isOnDevice, let storage = content.storage {
        try memory.store(storage.bytes)
        content.isOnDevice = true
      }
      return memory
    }
  }

  private func hostStorage(_ content: inout Content) throws -> TensorStorage {
    let storage = content.storage ?? TensorStorage(byteCount: byteCount)
    content.storage = storage
    if content.isOnDevice, !content.isOnHost, let device = content.device {
      try device.load(storage.bytes)
      content.isOnHost = true
    }
    return storage
  }

  /// A copy of the value; nil if the variable has none yet.
  ///
  /// - Throws: what goes wrong when it is copied from a device.
  public var value: Tensor? {
    get throws {
      acquire(exclusively: false)
      defer { release() }
      return try content.withLock { content in
        guard content.isOnHost || content.isOnDevice else { return nil }
        let storage = try hostStorage(&content)
        var copy = Tensor(uninitialized: type.elementType, shape: type.shape.known ?? [])
        let count = copy.byteCount
        copy.withUnsafeMutableBytes { target in
          if let base = target.baseAddress, count > 0 { base.copyMemory(from: storage.bytes, byteCount: count) }
        }
        return copy
      }
    }
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
    content.withLock { content in
      let storage = content.storage ?? TensorStorage(byteCount: byteCount)
      content.storage = storage
      value.withUnsafeBytes { bytes in
        if let base = bytes.baseAddress { storage.bytes.copyMemory(from: base, byteCount: bytes.count) }
      }
      (content.isOnHost, content.isOnDevice) = (true, false)
    }
  }
}
