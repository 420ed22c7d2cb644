import MartletTensors
import Synchronization

/// Pinned memory for what runs hand out: arrays are copied from the GPU to where their owner reads them.
///
/// Blocks that owners have given back are kept for the next runs, since pinning pages costs more than copying them.
final class PinnedPool: Sendable {
  private struct State {
    var kept: [Int: [PinnedMemory]] = [:]
    var keptBytes = 0
    var lentBytes = 0
  }

  /// Bytes that are kept at most.
  private static let mostKept = 256 << 20
  /// Bytes that owners may hold; beyond that arrays are in ordinary memory.
  private static let mostLent = 1 << 30

  private let context: CUDAContext
  private let state = Mutex(State())

  init(_ context: CUDAContext) { self.context = context }

  /// A block of at least so many bytes, which is somebody else's until `giveBack`.
  func block(_ byteCount: Int) throws(CUDAFailure) -> PinnedMemory {
    let size = Self.rounded(byteCount)
    let known = state.withLock { state in
      state.lentBytes += size
      guard let block = state.kept[size]?.popLast() else { return nil as PinnedMemory? }
      state.keptBytes -= size
      return block
    }
    do throws(CUDAFailure) {
      return if let known { known } else { try pinned(size) }
    } catch {
      state.withLock { $0.lentBytes -= size }
      throw error
    }
  }

  /// A new block, for which what is kept is given up if need be.
  private func pinned(_ byteCount: Int) throws(CUDAFailure) -> PinnedMemory {
    do throws(CUDAFailure) {
      return try PinnedMemory(context, byteCount: byteCount)
    } catch {
      guard error.isOutOfMemory else { throw error }
      trim()
      return try PinnedMemory(context, byteCount: byteCount)
    }
  }

  func giveBack(_ block: PinnedMemory) {
    state.withLock { state in
      state.lentBytes -= block.byteCount
      guard state.keptBytes + block.byteCount <= Self.mostKept else { return }
      state.kept[block.byteCount, default: []].append(block)
      state.keptBytes += block.byteCount
    }
  }

  /// An array of what is in a block, which its owner gives back; or a copy, where owners hold much already.
  func tensor(_ block: PinnedMemory, _ type: ElementType, _ shape: [Int]) -> Tensor {
    guard state.withLock({ $0.lentBytes <= Self.mostLent }) else {
      var tensor = Tensor(uninitialized: type, shape: shape)
      tensor.withUnsafeMutableBytes { bytes in
        bytes.baseAddress?.copyMemory(from: block.bytes, byteCount: bytes.count)
      }
      giveBack(block)
      return tensor
    }
    // The array may outlive the pool, whose blocks are released with it then.
    let storage = TensorStorage(adopting: block.bytes, byteCount: block.byteCount) { [weak self] _ in
      if let self { giveBack(block) } else { withExtendedLifetime(block) {} }
    }
    return Tensor(elementType: type, shape: shape, storage: storage)
  }

  /// Frees what is kept.
  func trim() {
    let blocks = state.withLock { state in
      defer { (state.kept, state.keptBytes) = ([:], 0) }
      return state.kept
    }
    withExtendedLifetime(blocks) {}
  }

  /// Eighths of a power of two, so that blocks fit again where sizes vary a little.
  private static func rounded(_ byteCount: Int) -> Int {
    let unit = max(4096, powerOfTwo(atLeast: byteCount) / 16)
    return (byteCount + unit - 1) / unit * unit
  }
}
