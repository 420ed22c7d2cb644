import CMartletRuntime
import MartletExecution
import MartletGraph
import MartletTensors

/// Products by code of our own with a matrix that is constant, and laid out ahead as the code reads it, or that is given so.
/// An epilogue is done on the way.
///
/// What it has before the libraries is that it fetches the next part of the matrix while it multiplies: the weights
/// of a large model come from memory in every run.
final class PackedProductExecution: LibraryExecution {
  let isWide = true
  let scratchBytes = 0
  private let product: MatrixProduct
  private let blocking: ProductBlocking
  private let tiles: TileSet
  private let packed: TensorStorage?

  /// With fewer multiplications the team is not worth waking.
  private static let narrowLimit = 1 << 18

  /// Nil where a library, or generated code, does better: measured with AVX-512 only.
  init?(_ product: MatrixProduct, _ compiler: TileCompiler, _ machine: TargetMachine) {
    guard product.isRightConstant || product.panelWidth != nil, Self.isWorthwhile(product, compiler) else { return nil }
    let blocking = ProductBlocking(m: product.m, n: product.n, k: product.k, lanes: compiler.lanes, machine)
    guard product.panelWidth == nil || product.panelWidth == blocking.width,
      let tiles = TileSet(
        blocking, heights: [product.m], isByColumns: product.transposeA, activation: product.epilogue.activation,
        compiler)
    else { return nil }
    self.tiles = tiles
    self.product = product
    self.blocking = blocking
    packed = nil
  }

  private static func isWorthwhile(_ product: MatrixProduct, _ compiler: TileCompiler) -> Bool {
    product.elementType == .float32 && product.batch == 1 && compiler.lanes == 16
      && Double(product.m) * Double(product.n) * Double(product.k) >= Double(narrowLimit)
  }

  /// The width of panels for a matrix that several products share; nil where libraries do as well.
  static func panelWidth(for product: MatrixProduct, _ compiler: TileCompiler, _ machine: TargetMachine) -> Int? {
    guard isWorthwhile(product, compiler) else { return nil }
    return ProductBlocking(m: product.m, n: product.n, k: product.k, lanes: compiler.lanes, machine).width
  }

  private init(_ other: PackedProductExecution, packed: TensorStorage) {
    (product, blocking, tiles) = (other.product, other.blocking, other.tiles)
    self.packed = packed
  }

  func bind(_ constants: [Int: Tensor]) -> BoundCall { (specialized(for: constants) ?? self).call }

  private func specialized(for constants: [Int: Tensor]) -> PackedProductExecution? {
    guard let matrix = constants[1], product.panelWidth == nil else { return nil }
    return PackedProductExecution(self, packed: pack(matrix.storage.bytes))
  }

  // MARK: Packing

  private struct Packing {
    var execution: Unmanaged<PackedProductExecution>
    var from: UnsafeMutableRawPointer
    var to: UnsafeMutableRawPointer
  }

  /// The matrix in panels.
  private func pack(_ matrix: UnsafeMutableRawPointer) -> TensorStorage {
    let packed = TensorStorage(byteCount: blocking.packedBytes)
    var packing = Packing(execution: .passUnretained(self), from: matrix, to: packed.bytes)
    martlet_team_parallel(
      { context, worker, workers in
        guard let packing = context?.assumingMemoryBound(to: Packing.self).pointee else { return }
        let execution = packing.execution.takeUnretainedValue()
        let (blocking, isTransposed) = (execution.blocking, execution.product.transposeB)
        blocking.pack(
          packing.from.assumingMemoryBound(to: Float.self), steps: isTransposed ? 1 : blocking.n,
          columns: isTransposed ? blocking.k : 1,
          PackedProductExecution.share(of: blocking.panels, Int(worker), Int(workers)),
          to: packing.to.assumingMemoryBound(to: Float.self))
      }, &packing)
    return packed
  }

  // MARK: Running

  private var call: BoundCall {
    BoundCall(
      { _, slots, data in
        let execution = BoundCall.object(PackedProductExecution.self, at: data)
        guard let a = slots[0], let b = slots[1], let c = slots[2 + execution.product.epilogue.operandCount] else {
          return 1
        }
        execution.run(a, b, c, slots)
        return 0
      }, object: self)
  }

  /// What the workers are told.
  private struct Operands {
    var execution: Unmanaged<PackedProductExecution>
    var a: UnsafePointer<Float>
    var panels: UnsafePointer<Float>
    var c: UnsafeMutablePointer<Float>
    var bias: UnsafePointer<Float>?
    var residual: UnsafePointer<Float>?
  }

  private func run(
    _ a: UnsafeMutablePointer<UInt8>, _ b: UnsafeMutablePointer<UInt8>, _ c: UnsafeMutablePointer<UInt8>,
    _ slots: UnsafePointer<UnsafeMutablePointer<UInt8>?>
  ) {
    func floats(_ slot: Int) -> UnsafePointer<Float>? {
      slots[slot].map { UnsafePointer(UnsafeMutableRawPointer($0).assumingMemoryBound(to: Float.self)) }
    }
    let epilogue = product.epilogue
    // A plan's constants are known when it is bound; whoever binds without them waits for the packing.
    let packed = product.panelWidth == nil ? self.packed ?? pack(b) : nil
    var operands = Operands(
      execution: .passUnretained(self), a: UnsafeMutableRawPointer(a).assumingMemoryBound(to: Float.self),
      panels: (packed?.bytes ?? UnsafeMutableRawPointer(b)).assumingMemoryBound(to: Float.self),
      c: UnsafeMutableRawPointer(c).assumingMemoryBound(to: Float.self), bias: epilogue.hasBias ? floats(2) : nil,
      residual: epilogue.hasResidual ? floats(2 + (epilogue.hasBias ? 1 : 0)) : nil)
    martlet_team_parallel(
      { context, worker, workers in
        guard let operands = context?.assumingMemoryBound(to: Operands.self).pointee else { return }
        operands.execution.takeUnretainedValue().run(operands, Int(worker), Int(workers))
      }, &operands)
    withExtendedLifetime(packed) {}
  }

  /// One worker's part: some of the panels or, where those cannot be shared evenly, some of the rows.
  private func run(_ operands: Operands, _ worker: Int, _ workers: Int) {
    let blocking = blocking
    let rowTiles = (blocking.m + blocking.rows - 1) / blocking.rows
    func excess(_ count: Int) -> Double { Double((count + workers - 1) / workers * workers) / Double(max(count, 1)) }
    if excess(blocking.panels) <= excess(rowTiles) {
      run(operands, rows: 0..<blocking.m, panels: Self.share(of: blocking.panels, worker, workers))
    } else {
      let tiles = Self.share(of: rowTiles, worker, workers)
      let rows = tiles.lowerBound * blocking.rows..<min(tiles.upperBound * blocking.rows, blocking.m)
      run(operands, rows: rows, panels: 0..<blocking.panels)
    }
  }

  private static func share(of count: Int, _ worker: Int, _ workers: Int) -> Range<Int> {
    count * worker / workers..<count * (worker + 1) / workers
  }

  private func run(_ operands: Operands, rows: Range<Int>, panels: Range<Int>) {
    guard !rows.isEmpty, !panels.isEmpty else { return }
    let blocking = blocking
    let (m, n, k) = (blocking.m, blocking.n, blocking.k)
    let (rowStride, stepStride) = product.transposeA ? (1, m) : (k, 1)
    var tile = martlet_tile()
    tile.a_stride = Int64(product.transposeA ? m : k)
    tile.c_stride = Int64(n)
    tile.addend_stride = Int64(n)
    for start in stride(from: 0, to: k, by: blocking.depth) {
      let depth = min(blocking.depth, k - start)
      tile.depth = Int64(depth)
      tile.is_last = start + depth == k ? 1 : 0
      for top in stride(from: rows.lowerBound, to: rows.upperBound, by: blocking.height) {
        let bottom = min(top + blocking.height, rows.upperBound)
        for panel in panels {
          let column = panel * blocking.width
          tile.b = operands.panels + blocking.offset(ofPanel: panel, from: start)
          tile.columns = Int64(min(blocking.width, n - column))
          let next =
            panel + 1 < panels.upperBound
            ? blocking.offset(ofPanel: panel + 1, from: start)
            : bottom < rows.upperBound
              ? blocking.offset(ofPanel: panels.lowerBound, from: start)
              : start + depth < k ? blocking.offset(ofPanel: panels.lowerBound, from: start + depth) : nil
          var ahead = Prefetch(
            next.map { operands.panels + $0 }, count: blocking.width * depth,
            pieces: (bottom - top + blocking.rows - 1) / blocking.rows)
          for row in stride(from: top, to: bottom, by: blocking.rows) {
            tile.a = operands.a + row * rowStride + start * stepStride
            tile.c = operands.c + row * n + column
            if start == 0 {
              tile.addend = operands.residual.map { $0 + row * n + column }
              tile.bias = operands.bias.map { $0 + column }
            } else {
              tile.addend = UnsafePointer(tile.c)
              tile.bias = nil
            }
            (tile.ahead, tile.ahead_end) = ahead.next() ?? (tile.ahead, tile.ahead)
            tiles.run(&tile, rows: min(bottom - row, blocking.rows))
          }
        }
      }
    }
  }
}

/// Memory that is fetched in pieces, one with each tile.
private struct Prefetch {
  private var line: UnsafePointer<UInt8>?
  private let end: UnsafePointer<UInt8>?
  private let piece: Int

  init(_ floats: UnsafePointer<Float>?, count: Int, pieces: Int) {
    let bytes = count * MemoryLayout<Float>.stride
    line = floats.map { UnsafeRawPointer($0).assumingMemoryBound(to: UInt8.self) }
    end = line.map { $0 + bytes }
    piece = (bytes / pieces + 63) & -64
  }

  /// The next piece's begin and end; nil after the last.
  mutating func next() -> (UnsafePointer<UInt8>, UnsafePointer<UInt8>)? {
    guard let begin = line, let end, begin < end else { return nil }
    let next = min(begin + piece, end)
    line = next
    return (begin, next)
  }
}
