import Glibc
import Synchronization

/// A source of aligned memory that keeps large blocks for reuse.
///
/// The system hands out fresh pages at about 4 GB/s, since it clears each of them; a page that was used before is
/// written several times faster. Requests are rounded up to a size class, so that a block fits again when sizes vary a
/// little; what is kept is bounded, and the blocks given back longest ago go first.
public final class PagePool: Sendable {
  /// The pool that tensors use.
  public static let shared = PagePool()

  /// Every block starts at a multiple of this many bytes: a cache line, and the width of the widest vector register.
  public static let alignment = 64

  /// Smaller blocks come from and go to `malloc`, which keeps such sizes itself.
  static let smallestKept = 64 << 10

  /// What the pool has done.
  public struct Statistics: Sendable, Equatable {
    /// Blocks handed out over the pool's life.
    public var allocations = 0
    /// Those of them that had been used before.
    public var reuses = 0
    /// Bytes handed out and not given back, rounded up to size classes.
    public var liveBytes = 0
    /// The most that ``liveBytes`` ever was.
    public var peakLiveBytes = 0
    /// Bytes kept for reuse.
    public var keptBytes = 0
  }

  private struct Block {
    let address: UInt
    let releasedAt: UInt64
  }

  private struct State {
    var statistics = Statistics()
    /// Kept blocks by size class, the one given back last at the end.
    var kept: [Int: [Block]] = [:]
    var clock: UInt64 = 0
  }

  private let state = Mutex(State())

  /// The most bytes that are kept for reuse.
  public let keepLimit: Int

  /// - Parameter keepLimit: The most bytes to keep for reuse; a quarter of the machine's memory if nil.
  public init(keepLimit: Int? = nil) {
    self.keepLimit = keepLimit ?? Int(sysconf(Int32(_SC_PHYS_PAGES))) * Int(sysconf(Int32(_SC_PAGESIZE))) / 4
  }

  public var statistics: Statistics { state.withLock { $0.statistics } }

  /// Uninitialized memory of at least this many bytes, aligned to ``alignment``.
  ///
  /// - Precondition: The system has that much memory to give; sizes from outside are to be bounded first.
  public func allocate(byteCount: Int) -> UnsafeMutableRawPointer {
    precondition(byteCount >= 0, "A block cannot have \(byteCount) bytes.")
    let size = Self.sizeClass(byteCount)
    let reused = state.withLock { Self.take(size, &$0) }
    if let reused, let pointer = UnsafeMutableRawPointer(bitPattern: reused) { return pointer }
    return Self.systemAllocate(size)
  }

  /// Counts a block as handed out; its address if one is kept.
  private static func take(_ size: Int, _ state: inout State) -> UInt? {
    state.statistics.allocations += 1
    state.statistics.liveBytes += size
    state.statistics.peakLiveBytes = max(state.statistics.peakLiveBytes, state.statistics.liveBytes)
    guard size >= smallestKept, let block = state.kept[size]?.popLast() else { return nil }
    state.statistics.reuses += 1
    state.statistics.keptBytes -= size
    return block.address
  }

  /// Uninitialized memory that is wanted for a short time: the block given back last of those that are large enough, which caches
  /// may still hold.
  ///
  /// - Returns: its address, and for how many bytes it is to be given back.
  public func allocateBriefly(byteCount: Int) -> (address: UnsafeMutableRawPointer, byteCount: Int) {
    let size = Self.sizeClass(byteCount)
    let (reused, taken): (UInt?, Int) = state.withLock { state in
      guard size >= Self.smallestKept else { return (Self.take(size, &state), size) }
      let fitting = state.kept.filter { $0.key >= size && !$0.value.isEmpty }
      let last = fitting.max { ($0.value.last?.releasedAt ?? 0) < ($1.value.last?.releasedAt ?? 0) }
      let chosen = last?.key ?? size
      return (Self.take(chosen, &state), chosen)
    }
    if let reused, let pointer = UnsafeMutableRawPointer(bitPattern: reused) { return (pointer, taken) }
    return (Self.systemAllocate(taken), taken)
  }

  /// Sees to it that `count` blocks for `allocateBriefly` are there. Nobody has written them: only what is used of them takes memory.
  public func reserve(byteCount: Int, count: Int) {
    let size = Self.sizeClass(byteCount)
    guard size >= Self.smallestKept else { return }
    let known = state.withLock { $0.kept.reduce(0) { $1.key >= size ? $0 + $1.value.count : $0 } }
    let blocks = (0..<max(count - known, 0)).map { _ in Self.systemAllocate(size) }
    for block in blocks {
      state.withLock { $0.statistics.liveBytes += size }
      deallocate(block, byteCount: size)
    }
  }

  /// Takes back a block that ``allocate(byteCount:)`` gave for the same number of bytes.
  public func deallocate(_ pointer: UnsafeMutableRawPointer, byteCount: Int) {
    let size = Self.sizeClass(byteCount)
    let address = UInt(bitPattern: pointer)
    let surplus: [UInt] = state.withLock { state in
      state.statistics.liveBytes -= size
      guard size >= Self.smallestKept, size <= keepLimit else { return [address] }
      state.clock += 1
      state.kept[size, default: []].append(Block(address: address, releasedAt: state.clock))
      state.statistics.keptBytes += size
      return Self.evict(&state, downTo: keepLimit)
    }
    for address in surplus { free(UnsafeMutableRawPointer(bitPattern: address)) }
  }

  /// Gives kept memory back to the system until no more than this many bytes are kept.
  public func trim(toBytes limit: Int = 0) {
    let surplus = state.withLock { Self.evict(&$0, downTo: limit) }
    for address in surplus { free(UnsafeMutableRawPointer(bitPattern: address)) }
  }

  /// Takes the blocks released longest ago off the lists until no more than `limit` bytes are kept.
  private static func evict(_ state: inout State, downTo limit: Int) -> [UInt] {
    var evicted: [UInt] = []
    while state.statistics.keptBytes > limit {
      let oldest = state.kept.min { ($0.value.first?.releasedAt ?? .max) < ($1.value.first?.releasedAt ?? .max) }
      guard let size = oldest?.key, let block = state.kept[size]?.first else { break }
      state.kept[size]?.removeFirst()
      state.statistics.keptBytes -= size
      evicted.append(block.address)
    }
    return evicted
  }

  /// The bytes a request really gets. Large requests are rounded to an eighth of the next lower power of two, which
  /// wastes at most an eighth.
  static func sizeClass(_ byteCount: Int) -> Int {
    if byteCount < smallestKept { return max(alignment, (byteCount + alignment - 1) & -alignment) }
    let step = max(4096, 1 << (Int.bitWidth - 1 - byteCount.leadingZeroBitCount - 3))
    return (byteCount + step - 1) & -step
  }

  /// The bytes of memory that the machine has, swap space left out.
  public static let systemByteCount = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))

  /// Above this size, blocks are aligned to the processor's large pages, for systems that use them of their own accord. They
  /// are not asked for: a virtual machine may have given free ones back to its host, and gets them again at 0.4 GB/s
  /// (measured; see Docs/Decisions/CompileTime.md).
  private static let largePage = 2 << 20

  private static func systemAllocate(_ size: Int) -> UnsafeMutableRawPointer {
    var pointer: UnsafeMutableRawPointer?
    let isLarge = size >= 2 * largePage
    let status = posix_memalign(&pointer, isLarge ? largePage : alignment, size)
    guard status == 0, let pointer else { fatalError("The system has no \(size) bytes of memory left.") }
    return pointer
  }
}
