import CMartletRuntime

/// Memory that is fetched in pieces, one with each tile of a product.
struct FetchAhead {
  private typealias Stretch = (line: UnsafePointer<UInt8>, end: UnsafePointer<UInt8>)
  private var stretches: (Stretch?, Stretch?, Stretch?) = (nil, nil, nil)
  private var byteCount = 0
  private let pieces: Int

  /// - Parameter pieces: how many there may be.
  init(pieces: Int) { self.pieces = pieces }

  /// Has one stretch more fetched, of three at most.
  mutating func add(_ floats: UnsafePointer<Float>, count: Int) {
    guard count > 0 else { return }
    let line = byteAddress(floats)
    let stretch = (line, line + count * MemoryLayout<Float>.stride)
    byteCount += count * MemoryLayout<Float>.stride
    if stretches.0 == nil {
      stretches.0 = stretch
    } else if stretches.1 == nil {
      stretches.1 = stretch
    } else {
      stretches.2 = stretch
    }
  }

  /// Tells some tiles which pieces they fetch.
  ///
  /// - Parameter limit: how many tiles there may be.
  /// - Returns: how many there are.
  mutating func next(_ tile: inout martlet_tile, atMost limit: Int) -> Int {
    guard let (begin, end) = stretches.0 else {
      // A line that has been fetched already.
      (tile.ahead, tile.ahead_end, tile.ahead_piece) = (tile.ahead ?? byteAddress(tile.b), tile.ahead, 0)
      return limit
    }
    // The first two stretches may end with part of a piece.
    let piece = (byteCount / max(pieces - 2, 1) + 63) & -64
    let count = min(limit, (end - begin + piece - 1) / piece)
    (tile.ahead, tile.ahead_end, tile.ahead_piece) = (begin, end, Int64(piece))
    let next = begin + min(count * piece, end - begin)
    if next < end { stretches.0 = (next, end) } else { stretches = (stretches.1, stretches.2, nil) }
    return count
  }

  private func byteAddress(_ floats: UnsafePointer<Float>) -> UnsafePointer<UInt8> {
    UnsafeRawPointer(floats).assumingMemoryBound(to: UInt8.self)
  }
}
