import Foundation

/// Copies between pageable memory of the host and a GPU, outside of runs: through one stretch of pinned memory, piece by piece.
final class CUDATransfers: @unchecked Sendable {
  let stream: CUDAStream
  private let lock = NSLock()
  /// Guarded by the lock; made when it is first needed.
  private var staging: PinnedMemory?

  private static let pieceBytes = 16 << 20

  init(_ context: CUDAContext) throws(CUDAFailure) { stream = try CUDAStream(context) }

  func copy(to address: UInt64, from bytes: UnsafeRawPointer, byteCount: Int) throws(CUDAFailure) {
    try inPieces(byteCount) { (staging, offset, count) throws(CUDAFailure) in
      staging.copyMemory(from: bytes + offset, byteCount: count)
      try stream.copy(to: address + UInt64(offset), fromHost: staging, byteCount: count)
      try stream.synchronize()
    }
  }

  func copy(to bytes: UnsafeMutableRawPointer, from address: UInt64, byteCount: Int) throws(CUDAFailure) {
    try inPieces(byteCount) { (staging, offset, count) throws(CUDAFailure) in
      try stream.copy(toHost: staging, from: address + UInt64(offset), byteCount: count)
      try stream.synchronize()
      (bytes + offset).copyMemory(from: staging, byteCount: count)
    }
  }

  private func inPieces(
    _ byteCount: Int, _ body: (UnsafeMutableRawPointer, _ offset: Int, _ count: Int) throws(CUDAFailure) -> Void
  ) throws(CUDAFailure) {
    guard byteCount > 0 else { return }
    lock.lock()
    defer { lock.unlock() }
    let memory: PinnedMemory =
      if let staging { staging } else { try PinnedMemory(stream.context, byteCount: Self.pieceBytes) }
    staging = memory
    for offset in stride(from: 0, to: byteCount, by: Self.pieceBytes) {
      try body(memory.bytes, offset, min(Self.pieceBytes, byteCount - offset))
    }
  }
}
