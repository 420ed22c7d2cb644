import CMartletRuntime
import MartletGraph

/// How a product is cut up: c in tiles, b in panels as wide as a tile, the summed dimension in blocks.
///
/// A block of b's panels stays in the second-level cache while all tiles of some rows pass by; those rows' block of a
/// stays there as well. See Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.
struct ProductBlocking: Hashable, Sendable {
  let m: Int
  let n: Int
  let k: Int
  /// Rows of a tile, and its width in vector registers and in columns.
  let rows: Int
  let vectors: Int
  let width: Int
  /// How much of the summed dimension, and how many rows, are done before the next.
  let depth: Int
  let height: Int

  /// Tiles that use most of 32 registers, some of them for the panel and the factors.
  private static let shapes: [(rows: Int, vectors: Int)] = [(8, 3), (6, 4), (12, 2), (16, 1)]

  /// So many rows are whole tiles of each shape.
  private static let manyRows = 48

  /// - Parameters:
  ///   - lanes: elements in a vector register.
  ///   - depth: how much of the summed dimension is done at a time; nil for what the caches allow.
  init(m: Int, n: Int, k: Int, lanes: Int, _ machine: TargetMachine, depth: Int? = nil) {
    (self.m, self.n, self.k) = (m, n, k)
    // By the columns alone, so that one layout of a constant matrix does for any number of rows.
    let shape = Self.shapes.min {
      Self.cycles(Self.manyRows, n, $0.rows, $0.vectors, lanes)
        < Self.cycles(Self.manyRows, n, $1.rows, $1.vectors, lanes)
    }
    (rows, vectors) = shape ?? Self.shapes[0]
    width = vectors * lanes
    height = Self.evenly(m, atMost: 128, multipleOf: rows)
    // Two panels: that in use and that which is fetched.
    let bound = min(machine.l1Bytes / 2 / (4 * rows), machine.l2Bytes * 3 / 4 / (4 * (height + 2 * width)))
    self.depth = depth ?? Self.evenly(k, atMost: max(bound, 64), multipleOf: 1)
  }

  /// The cycles that one step of the summed dimension takes for all tiles: two multiplications of vectors in each, two
  /// loads, and four cycles before a sum is there to be added to.
  private static func cycles(_ m: Int, _ n: Int, _ rows: Int, _ vectors: Int, _ lanes: Int) -> Int {
    func tile(_ rows: Int) -> Int { rows == 0 ? 0 : max(rows * vectors, rows + vectors, 8) }
    return (n + vectors * lanes - 1) / (vectors * lanes) * (m / rows * tile(rows) + tile(m % rows))
  }

  /// The size of equal pieces, of which none is larger than a bound.
  static func evenly(_ extent: Int, atMost bound: Int, multipleOf unit: Int) -> Int {
    let count = max((extent + bound - 1) / bound, 1)
    let size = (extent + count - 1) / count
    return max((size + unit - 1) / unit * unit, unit)
  }

  var panels: Int { (n + width - 1) / width }
  /// Bytes of b in panels, the last one filled up with zeros.
  var packedBytes: Int { panels * width * k * MemoryLayout<Float>.stride }

  /// Where a panel of b begins, in elements, or its part from `start` of the summed dimension on.
  func offset(ofPanel panel: Int, from start: Int) -> Int { (panel * k + start) * width }

  /// Writes some panels of b.
  ///
  /// - Parameters:
  ///   - steps: the distance of b's elements along the summed dimension, in elements.
  ///   - columns: their distance along the other.
  func pack(
    _ b: UnsafePointer<Float>, steps: Int, columns: Int, _ panels: Range<Int>, to packed: UnsafeMutablePointer<Float>
  ) {
    // A few steps at a time over all panels, so that b is read in long stretches.
    for first in stride(from: 0, to: k, by: Self.stepsAtATime) {
      let range = first..<min(first + Self.stepsAtATime, k)
      for panel in panels {
        let count = min(width, n - panel * width)
        copy(
          range, of: b + panel * width * columns, steps: steps, columns: columns, count: count,
          to: packed + offset(ofPanel: panel, from: 0))
      }
    }
  }

  private static let stepsAtATime = 16

  /// Writes the columns of some panels, back where `pack` has them from.
  func unpack(
    _ packed: UnsafePointer<Float>, steps: Int, columns: Int, _ panels: Range<Int>, to b: UnsafeMutablePointer<Float>
  ) {
    for panel in panels {
      let source = packed + offset(ofPanel: panel, from: 0)
      let target = b + panel * width * columns
      let count = min(width, n - panel * width)
      for step in 0..<k {
        let (from, to) = (source + step * width, target + step * steps)
        if columns == 1 {
          to.update(from: from, count: count)
        } else {
          for column in 0..<count { to[column * columns] = from[column] }
        }
      }
    }
  }

  /// Writes a range of steps of one panel.
  private func copy(
    _ range: Range<Int>, of source: UnsafePointer<Float>, steps: Int, columns: Int, count: Int,
    to target: UnsafeMutablePointer<Float>
  ) {
    if columns == 1 {
      for step in range { (target + step * width).update(from: source + step * steps, count: count) }
    } else {
      let squares = steps == 1 ? transpose(range, of: source, columns: columns, count: count, to: target) : 0
      for column in squares..<count {
        let from = source + column * columns
        for step in range { target[step * width + column] = from[step * steps] }
      }
    }
    guard count < width else { return }
    for step in range { (target + step * width + count).update(repeating: 0, count: width - count) }
  }

  /// Writes whole squares of four columns, whose steps lie side by side, and what is left of these columns' steps.
  ///
  /// - Returns: how many columns are written.
  private func transpose(
    _ range: Range<Int>, of source: UnsafePointer<Float>, columns: Int, count: Int,
    to target: UnsafeMutablePointer<Float>
  ) -> Int {
    let whole = count & -4
    let end = range.lowerBound + (range.count & -4)
    for column in stride(from: 0, to: whole, by: 4) {
      let from = source + column * columns
      for step in stride(from: range.lowerBound, to: end, by: 4) {
        func row(_ number: Int) -> SIMD4<Float> {
          UnsafeRawPointer(from + number * columns + step).loadUnaligned(as: SIMD4<Float>.self)
        }
        let (a, b, c, d) = (row(0), row(1), row(2), row(3))
        for number in 0..<4 {
          UnsafeMutableRawPointer(target + (step + number) * width + column)
            .storeBytes(of: SIMD4(a[number], b[number], c[number], d[number]), as: SIMD4<Float>.self)
        }
      }
      for step in end..<range.upperBound {
        for number in 0..<4 { target[step * width + column + number] = from[number * columns + step] }
      }
    }
    return whole
  }
}
