import CMartletRuntime
import MartletGraph

/// Products, within one worker, of rows with a matrix that is laid out in panels.
struct PanelProduct: Sendable {
  let blocking: ProductBlocking
  private let tiles: TileSet
  /// Whether elements of one column of a lie side by side, not those of one row.
  private let isByColumns: Bool

  /// Nil where code cannot be generated.
  ///
  /// - Parameter heights: the numbers of rows that are multiplied at a time.
  init?(
    _ blocking: ProductBlocking, heights: [Int], isByColumns: Bool = false, _ compiler: TileCompiler
  ) {
    guard let tiles = TileSet(blocking, heights: heights, isByColumns: isByColumns, compiler) else { return nil }
    (self.blocking, self.tiles, self.isByColumns) = (blocking, tiles, isByColumns)
  }

  /// Lays the whole matrix b out.
  ///
  /// - Parameters:
  ///   - steps: the distance of b's elements along the summed dimension, in elements.
  ///   - columns: their distance along the other.
  func pack(_ b: UnsafePointer<Float>, steps: Int, columns: Int, to panels: UnsafeMutablePointer<Float>) {
    blocking.pack(b, steps: steps, columns: columns, 0..<blocking.panels, to: panels)
  }

  /// c = a · b or c + a · b for some rows of a, the steps from `start` on of b, and columns of b of which the first begins
  /// a panel.
  func multiply(
    _ a: UnsafePointer<Float>, stride: Int, rows: Int, _ panels: UnsafePointer<Float>, from start: Int, depth: Int,
    columns: Range<Int>, to c: UnsafeMutablePointer<Float>, stride cStride: Int, adding: Bool
  ) {
    var tile = martlet_tile()
    tile.a_stride = Int64(stride)
    tile.c_stride = Int64(cStride)
    tile.addend_stride = Int64(cStride)
    tile.depth = Int64(depth)
    for column in Swift.stride(from: columns.lowerBound, to: columns.upperBound, by: blocking.width) {
      tile.b = panels + blocking.offset(ofPanel: column / blocking.width, from: start)
      tile.columns = Int64(min(blocking.width, columns.upperBound - column))
      let whole = rows / blocking.rows
      // Nothing is fetched ahead but a line that is there.
      tile.ahead = UnsafeRawPointer(tile.b).assumingMemoryBound(to: UInt8.self)
      tile.ahead_end = tile.ahead
      for (first, count, height) in [(0, whole, blocking.rows), (whole * blocking.rows, 1, rows % blocking.rows)]
      where count * height > 0 {
        tile.count = Int64(count)
        tile.a = a + (isByColumns ? first : first * stride)
        tile.c = c + first * cStride + (column - columns.lowerBound)
        tile.addend = adding ? UnsafePointer(tile.c) : nil
        tiles.run(&tile, rows: height)
      }
    }
  }
}
