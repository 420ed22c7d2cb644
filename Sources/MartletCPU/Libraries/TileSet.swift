import CMartletRuntime
import MartletGraph

/// The code of a product's tiles: of whole ones, and of lower ones for the rows that are left.
struct TileSet: Sendable {
  /// By rows. Workers that counted references to the same code would wait for each other.
  private let codes: [Unmanaged<TileCode>?]
  /// Keeps the code.
  private let owners: [TileCode]

  /// Nil where code cannot be generated.
  ///
  /// - Parameter heights: the numbers of rows that are cut into tiles.
  init?(
    _ blocking: ProductBlocking, heights: [Int], isByColumns: Bool = false, isRightStrided: Bool = false,
    activation: Epilogue.Activation? = nil, _ compiler: TileCompiler
  ) {
    var codes = [Unmanaged<TileCode>?](repeating: nil, count: blocking.rows + 1)
    var owners: [TileCode] = []
    for height in heights {
      for rows in [height >= blocking.rows ? blocking.rows : 0, height % blocking.rows]
      where rows > 0 && codes[rows] == nil {
        let tile = ProductTile(
          rows: rows, vectors: blocking.vectors, isByColumns: isByColumns, isRightStrided: isRightStrided,
          activation: activation)
        guard let code = try? compiler.code(of: tile) else { return nil }
        codes[rows] = .passUnretained(code)
        owners.append(code)
      }
    }
    (self.codes, self.owners) = (codes, owners)
  }

  /// Runs as many tiles as it is told.
  ///
  /// - Parameter rows: the rows of each.
  func run(_ tile: inout martlet_tile, rows: Int) {
    guard let code = codes[rows] else { preconditionFailure("no code for tiles of \(rows) rows") }
    code._withUnsafeGuaranteedRef { $0.tile(&tile) }
  }
}
