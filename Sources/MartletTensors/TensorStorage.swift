/// The bytes of one or more tensors: a block of the page pool, or memory that belongs to someone else.
///
/// The class does not synchronize access. ``Tensor`` writes to storage only while it holds the one reference to it.
public final class TensorStorage: @unchecked Sendable {
  /// The first byte. Memory of the pool is aligned to ``PagePool/alignment``, adopted memory as its owner aligned it.
  public let bytes: UnsafeMutableRawPointer
  public let byteCount: Int

  /// For how many bytes the pool takes it back.
  private let blockByteCount: Int
  private let release: (@Sendable (UnsafeMutableRawPointer) -> Void)?

  /// Uninitialized memory from the shared pool.
  public init(byteCount: Int) {
    bytes = PagePool.shared.allocate(byteCount: byteCount)
    self.byteCount = byteCount
    blockByteCount = byteCount
    release = nil
  }

  /// Uninitialized memory from the shared pool for what is not kept, which may come from a larger block.
  public init(briefly byteCount: Int) {
    (bytes, blockByteCount) = PagePool.shared.allocateBriefly(byteCount: byteCount)
    self.byteCount = byteCount
    release = nil
  }

  /// Whether the block is much larger than what is asked of it.
  var isSpacious: Bool { release == nil && blockByteCount > 2 * byteCount }

  /// Memory that was allocated elsewhere, such as a mapped file or a user's buffer. It must stay valid and unchanged until
  /// `release` is called, once, with its address. It is read and never written: tensors copy it before they change.
  public init(
    adopting bytes: UnsafeMutableRawPointer, byteCount: Int,
    release: @escaping @Sendable (UnsafeMutableRawPointer) -> Void
  ) {
    self.bytes = bytes
    self.byteCount = byteCount
    blockByteCount = byteCount
    self.release = release
  }

  deinit {
    if let release { release(bytes) } else { PagePool.shared.deallocate(bytes, byteCount: blockByteCount) }
  }

  /// Whether the memory belongs to someone else and must not be written.
  public var isAdopted: Bool { release != nil }
}
