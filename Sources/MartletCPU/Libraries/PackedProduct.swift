import CMartletRuntime
import MartletGraph

/// The product of the rows of a with a matrix b in panels, shared among the team; an epilogue is done on the way.
///
/// What it has before the libraries is that it fetches ahead while it multiplies: the next part of b, which comes from memory
/// in every run of a large model, and the next rows of a, of the residual and of the result, which do so where images are large.
struct PackedProduct: Sendable {
  let blocking: ProductBlocking
  private let tiles: TileSet
  /// Whether elements of one column of a lie side by side, not those of one row.
  private let isByColumns: Bool
  /// Nil where the rows of a lie one behind the other.
  private let pixels: StridedPixels?
  private let isActivated: Bool

  /// What the workers are told.
  struct Operands {
    var a: UnsafePointer<Float>
    var panels: UnsafePointer<Float>
    var c: UnsafeMutablePointer<Float>
    var bias: UnsafePointer<Float>?
    var residual: UnsafePointer<Float>?
    /// `gatheredBytes` for each worker.
    var gathered: UnsafeMutablePointer<Float>?
  }

  /// Nil where code cannot be generated.
  init?(
    _ product: MatrixProduct, rowsFrom pixels: StridedPixels? = nil, _ compiler: TileCompiler, _ machine: TargetMachine
  ) {
    blocking = ProductBlocking(m: product.m, n: product.n, k: product.k, lanes: compiler.lanes, machine)
    // Whether an activation is due is told at run time, so that one code does with a rectifier and without.
    guard
      let tiles = TileSet(
        blocking, heights: [product.m], isByColumns: product.transposeA,
        activation: product.epilogue.activation ?? .relu(slope: 0), compiler)
    else { return nil }
    isActivated = product.epilogue.activation != nil
    self.tiles = tiles
    self.pixels = pixels
    isByColumns = product.transposeA
  }

  /// Whether a product is large enough for it, and of what there is code for: measured with AVX-512 only.
  static func isWorthwhile(_ product: MatrixProduct, _ compiler: TileCompiler) -> Bool {
    product.elementType == .float32 && product.batch == 1 && compiler.lanes == 16
      && Double(product.m) * Double(product.n) * Double(product.k) >= Double(narrowLimit)
  }

  /// With fewer multiplications the team is not worth waking.
  private static let narrowLimit = 1 << 18

  /// The bytes that a worker needs to bring rows together.
  var gatheredBytes: Int { pixels == nil ? 0 : (4 * blocking.height * blocking.depth + 63) & -64 }

  /// Which of `count` things one of some workers does.
  static func share(of count: Int, _ worker: Int, _ workers: Int) -> Range<Int> {
    count * worker / workers..<count * (worker + 1) / workers
  }

  /// Computes one worker's part: some of the panels, or some of the rows.
  func run(_ operands: Operands, _ worker: Int, _ workers: Int) {
    let blocking = blocking
    let rowTiles = (blocking.m + blocking.rows - 1) / blocking.rows
    func excess(_ count: Int) -> Double { Double((count + workers - 1) / workers * workers) / Double(max(count, 1)) }
    // Who shares rows reads all of b, who shares panels all of a. Only whole rows can be fetched ahead; and where each has
    // some blocks of rows, b is read as often either way.
    let isTall =
      (blocking.m >= blocking.n || blocking.m >= 2 * workers * blocking.height)
      && excess(rowTiles) <= 1.02 * excess(blocking.panels)
    var operands = operands
    operands.gathered = operands.gathered.map { $0 + worker * gatheredBytes / MemoryLayout<Float>.stride }
    if !isTall, excess(blocking.panels) <= excess(rowTiles) {
      run(operands, rows: 0..<blocking.m, panels: Self.share(of: blocking.panels, worker, workers))
    } else {
      let tiles = Self.share(of: rowTiles, worker, workers)
      let rows = tiles.lowerBound * blocking.rows..<min(tiles.upperBound * blocking.rows, blocking.m)
      run(operands, rows: rows, panels: 0..<blocking.panels)
    }
  }

  private func run(_ operands: Operands, rows: Range<Int>, panels: Range<Int>) {
    guard !rows.isEmpty, !panels.isEmpty else { return }
    let blocking = blocking
    for start in stride(from: 0, to: blocking.k, by: blocking.depth) {
      let steps = start..<min(start + blocking.depth, blocking.k)
      for top in stride(from: rows.lowerBound, to: rows.upperBound, by: blocking.height) {
        let bottom = min(top + blocking.height, rows.upperBound)
        let following = bottom..<min(bottom + blocking.height, rows.upperBound)
        run(operands, steps, block: top..<bottom, following: following, panels)
      }
    }
  }

  /// Multiplies some rows for a range of the summed dimension.
  private func run(
    _ operands: Operands, _ steps: Range<Int>, block: Range<Int>, following: Range<Int>, _ panels: Range<Int>
  ) {
    let blocking = blocking
    let (m, n, k) = (blocking.m, blocking.n, blocking.k)
    var (rowStride, a) = (isByColumns ? 1 : k, operands.a + (isByColumns ? steps.lowerBound * m : steps.lowerBound))
    a += block.lowerBound * rowStride
    var tile = martlet_tile()
    tile.a_stride = Int64(isByColumns ? m : k)
    if let pixels, let gathered = operands.gathered {
      pixels.gather(block, steps, of: operands.a, to: gathered)
      (a, rowStride) = (UnsafePointer(gathered), steps.count)
      tile.a_stride = Int64(steps.count)
    }
    tile.c_stride = Int64(n)
    tile.addend_stride = Int64(n)
    tile.depth = Int64(steps.count)
    tile.is_last = isActivated && steps.upperBound == k ? 1 : 0
    let addend = steps.lowerBound == 0 ? operands.residual : UnsafePointer(operands.c)
    for panel in panels {
      let column = panel * blocking.width
      tile.b = operands.panels + blocking.offset(ofPanel: panel, from: steps.lowerBound)
      tile.columns = Int64(min(blocking.width, n - column))
      tile.bias = steps.lowerBound == 0 ? operands.bias.map { $0 + column } : nil
      var ahead = ahead(operands, steps, block: block, following: following, panel, panels)
      var row = block.lowerBound
      while row < block.upperBound {
        let height = min(block.upperBound - row, blocking.rows)
        let count = ahead.next(&tile, atMost: (block.upperBound - row) / height)
        let end = row + count * height
        tile.count = Int64(count)
        tile.a = a + (row - block.lowerBound) * rowStride
        tile.c = operands.c + row * n + column
        tile.addend = addend.map { $0 + row * n + column }
        let isLast = end == block.upperBound
        let next = isLast ? block.lowerBound * n + column + blocking.width : end * n + column
        tile.next_addend = isLast && panel + 1 == panels.upperBound ? nil : addend.map { $0 + next }
        tiles.run(&tile, rows: height)
        row = end
      }
    }
  }

  /// What is fetched during one panel's tiles: the part of b that is next, and this panel's share of the rows that are next.
  private func ahead(
    _ operands: Operands, _ steps: Range<Int>, block: Range<Int>, following: Range<Int>, _ panel: Int,
    _ panels: Range<Int>
  ) -> FetchAhead {
    let blocking = blocking
    var ahead = FetchAhead(pieces: (block.count + blocking.rows - 1) / blocking.rows)
    let isLast = panel + 1 == panels.upperBound
    if !isLast || !following.isEmpty || steps.upperBound < blocking.k {
      let next = isLast ? panels.lowerBound : panel + 1
      let start = isLast && following.isEmpty ? steps.upperBound : steps.lowerBound
      ahead.add(
        operands.panels + blocking.offset(ofPanel: next, from: start),
        count: blocking.width * min(steps.count, blocking.k - start))
    }
    guard !isByColumns, !following.isEmpty else { return ahead }
    func add(_ matrix: UnsafePointer<Float>, columns: Int) {
      let share = PackedProduct.share(of: following.count * columns, panel - panels.lowerBound, panels.count)
      ahead.add(matrix + following.lowerBound * columns + share.lowerBound, count: share.count)
    }
    if steps.count == blocking.k, pixels == nil { add(operands.a, columns: blocking.k) }
    if panels.count == blocking.panels {
      add((steps.lowerBound == 0 ? operands.residual : nil) ?? UnsafePointer(operands.c), columns: blocking.n)
    }
    return ahead
  }
}
