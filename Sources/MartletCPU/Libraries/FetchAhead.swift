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
    let line = UnsafeRawPointer(floats).assumingMemoryBound(to: UInt8.self)
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

  /// The next piece's begin and end; nil after the last.
  mutating func next() -> (UnsafePointer<UInt8>, UnsafePointer<UInt8>)? {
    guard let (begin, end) = stretches.0 else { return nil }
    // The first two stretches may end with part of a piece.
    let piece = (byteCount / max(pieces - 2, 1) + 63) & -64
    let next = begin + min(piece, end - begin)
    if next < end { stretches.0 = (next, end) } else { stretches = (stretches.1, stretches.2, nil) }
    return (begin, next)
  }
}
