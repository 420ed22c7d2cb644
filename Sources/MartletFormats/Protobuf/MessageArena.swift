import CMartletProtos

/// Memory for the messages that libprotobuf-c unpacks, or that are built for it to pack: given out piece by piece, freed all
/// at once, and never more than a limit.
///
/// The limit is what keeps a hostile file from asking for memory out of proportion to its own size.
final class MessageArena {
  /// The bytes that may be given out between two calls of ``reset(limit:)``.
  private(set) var limit: Int
  /// The bytes given out since the last ``reset(limit:)``.
  private(set) var allocatedByteCount = 0
  /// The most bytes that were given out between two calls of ``reset(limit:)``.
  private(set) var peakByteCount = 0
  /// Whether more than the limit was asked for since the last ``reset(limit:)``.
  private(set) var isExhausted = false

  private static let chunkByteCount = 1 << 16
  private let chunk = UnsafeMutableRawPointer.allocate(byteCount: chunkByteCount, alignment: 16)
  private var chunkUsed = 0
  private var blocks: [UnsafeMutableRawPointer] = []
  /// The part of the last block that is given out, and its size.
  private var blockUsed = 0
  private var blockByteCount = 0

  init(limit: Int = .max) { self.limit = limit }

  deinit {
    for block in blocks { block.deallocate() }
    chunk.deallocate()
  }

  /// Frees everything given out so far.
  func reset(limit: Int = .max) {
    for block in blocks { block.deallocate() }
    blocks.removeAll(keepingCapacity: true)
    self.limit = limit
    chunkUsed = 0
    blockUsed = 0
    blockByteCount = 0
    allocatedByteCount = 0
    isExhausted = false
  }

  /// Uninitialized memory, or nil where the limit is reached.
  func allocate(byteCount: Int) -> UnsafeMutableRawPointer? {
    let size = (max(byteCount, 1) + 15) & ~15
    guard byteCount >= 0, size <= limit - allocatedByteCount else {
      isExhausted = true
      return nil
    }
    allocatedByteCount += size
    if allocatedByteCount > peakByteCount { peakByteCount = allocatedByteCount }
    if size <= Self.chunkByteCount - chunkUsed {
      defer { chunkUsed += size }
      return chunk + chunkUsed
    }
    if size <= blockByteCount - blockUsed, let block = blocks.last {
      defer { blockUsed += size }
      return block + blockUsed
    }
    // A large piece has a block of its own; blocks for small ones grow with what is in use, up to 1 MiB.
    let isLarge = size >= Self.chunkByteCount
    let blockSize = isLarge ? size : min(max(Self.chunkByteCount, allocatedByteCount), 1 << 20)
    let block = UnsafeMutableRawPointer.allocate(byteCount: blockSize, alignment: 16)
    if isLarge, let open = blocks.last, blockUsed < blockByteCount {
      // The block that still has room stays last.
      blocks[blocks.count - 1] = block
      blocks.append(open)
    } else {
      blocks.append(block)
      blockByteCount = blockSize
      blockUsed = size
    }
    return block
  }

  /// Memory for `count` values, uninitialized.
  func allocate<T>(_ type: T.Type = T.self, count: Int) -> UnsafeMutablePointer<T>? {
    let (byteCount, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<T>.stride)
    guard !overflow else {
      isExhausted = true
      return nil
    }
    return allocate(byteCount: byteCount)?.bindMemory(to: T.self, capacity: count)
  }

  /// Calls a closure with this arena as libprotobuf-c's allocator.
  func withAllocator<R>(_ body: (UnsafeMutablePointer<ProtobufCAllocator>) -> R) -> R {
    var allocator = ProtobufCAllocator(
      alloc: { arena, size in
        Unmanaged<MessageArena>.fromOpaque(arena!).takeUnretainedValue().allocate(byteCount: size)
      },
      free: { _, _ in },
      allocator_data: Unmanaged.passUnretained(self).toOpaque())
    return withExtendedLifetime(self) { body(&allocator) }
  }
}
