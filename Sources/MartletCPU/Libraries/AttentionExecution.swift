import CMartletRuntime
import MartletExecution
import MartletGraph
import MartletTensors

/// Attention by tiles of products and generated code between them.
///
/// For some queries at a time, and of the keys a block after the other, scores are computed, turned into weights and
/// multiplied with the values, all in the second-level cache; see `ScoresEmitter` for what is kept between blocks.
final class AttentionExecution: LibraryExecution {
  let isWide = true
  let scratchBytes: Int
  private let attention: Attention
  private let workers: Int
  /// q · kᵀ, in which k's rows are columns, and weights · v.
  private let scores: ProductBlocking
  private let values: ProductBlocking
  private let scoreTiles: TileSet
  private let valueTiles: TileSet
  private let weights: TileCode
  private let quotients: TileCode
  private let queryBlock: Int
  private let keyBlock: Int
  private let layout: Layout

  /// Where a worker keeps things in its scratch memory, in bytes.
  private struct Layout {
    var keys = 0
    var values = 0
    var scores = 0
    var maxima = 0
    var sums = 0
    var byteCount = 0
  }

  /// With fewer multiplications there is nothing to gain.
  private static let narrowLimit = 1 << 18
  /// Scores that are worked on at a time: 128 kB.
  private static let scoreLimit = 1 << 15

  /// Nil where there is no code for it.
  init?(_ attention: Attention, _ compiler: TileCompiler, _ machine: TargetMachine, workers: Int) {
    let a = attention
    let work = Double(a.batch * a.heads) * Double(a.queries) * Double(a.keys) * Double(a.width + a.valueWidth)
    guard a.elementType == .float32, compiler.lanes == 16, work >= Double(Self.narrowLimit), a.queries > 0,
      a.valueWidth > 0, (1...1024).contains(a.width), a.q.column == 1 || a.width == 1,
      a.result.column == 1 || a.valueWidth == 1, a.mask.map({ $0.column == 0 || $0.column == 1 }) ?? true
    else { return nil }
    let lanes = compiler.lanes
    let scores = ProductBlocking(m: a.queries, n: a.keys, k: a.width, lanes: lanes, machine, depth: a.width)
    keyBlock = ProductBlocking.evenly(a.keys, atMost: 384, multipleOf: scores.width)
    queryBlock = ProductBlocking.evenly(a.queries, atMost: max(Self.scoreLimit / keyBlock, 48), multipleOf: scores.rows)
    let values = ProductBlocking(m: queryBlock, n: a.valueWidth, k: a.keys, lanes: lanes, machine, depth: keyBlock)
    let heights = [min(queryBlock, a.queries), a.queries % queryBlock]
    guard let scoreTiles = TileSet(scores, heights: heights, compiler),
      let valueTiles = TileSet(values, heights: heights, compiler),
      let weights = try? compiler.code(of: .weights(a.mask.map { $0.column == 1 ? .elements : .rows } ?? .none)),
      let quotients = try? compiler.code(of: .quotients)
    else { return nil }
    (self.scores, self.values, self.scoreTiles, self.valueTiles) = (scores, values, scoreTiles, valueTiles)
    (self.attention, self.workers, self.weights, self.quotients) = (attention, workers, weights, quotients)
    var scratch = ScratchLayout()
    var layout = Layout()
    layout.keys = scratch.add(scores.packedBytes)
    layout.values = scratch.add(values.packedBytes)
    layout.scores = scratch.add(queryBlock * Self.stride(keyBlock) * MemoryLayout<Float>.stride)
    layout.maxima = scratch.add(queryBlock * MemoryLayout<Float>.stride)
    layout.sums = scratch.add(queryBlock * MemoryLayout<Float>.stride)
    layout.byteCount = scratch.byteCount
    self.layout = layout
    scratchBytes = workers * layout.byteCount
  }

  /// The distance of rows of scores: no power of two, whose rows would fall on the same lines of the cache.
  private static func stride(_ keyBlock: Int) -> Int { keyBlock + 16 }

  // MARK: Running

  func bind(_ constants: [Int: Tensor]) -> BoundCall {
    BoundCall(
      { _, slots, data in
        let execution = BoundCall.object(AttentionExecution.self, at: data)
        let hasMask = execution.attention.mask != nil
        let result = hasMask ? 4 : 3
        guard let q = slots[0], let k = slots[1], let v = slots[2], let target = slots[result],
          let scratch = slots[result + 1]
        else { return 1 }
        func floats(_ bytes: UnsafeMutablePointer<UInt8>) -> UnsafeMutablePointer<Float> {
          UnsafeMutableRawPointer(bytes).assumingMemoryBound(to: Float.self)
        }
        var operands = Operands(
          execution: .passUnretained(execution), q: floats(q), k: floats(k), v: floats(v),
          mask: hasMask ? slots[3].map { UnsafePointer(floats($0)) } : nil, result: floats(target),
          scratch: UnsafeMutableRawPointer(scratch))
        martlet_team_parallel(
          { context, worker, workers in
            guard let operands = context?.assumingMemoryBound(to: Operands.self).pointee else { return }
            operands.execution.takeUnretainedValue().run(operands, Int(worker), Int(workers))
          }, &operands)
        return 0
      }, object: self)
  }

  /// What the workers are told.
  private struct Operands {
    var execution: Unmanaged<AttentionExecution>
    var q: UnsafePointer<Float>
    var k: UnsafePointer<Float>
    var v: UnsafePointer<Float>
    var mask: UnsafePointer<Float>?
    var result: UnsafeMutablePointer<Float>
    var scratch: UnsafeMutableRawPointer
  }

  /// One worker's part: some heads and, where those cannot be shared evenly, some blocks of queries of each.
  private func run(_ operands: Operands, _ worker: Int, _ team: Int) {
    let workers = min(team, self.workers)
    guard worker < workers else { return }
    let heads = attention.batch * attention.heads
    let blocks = (attention.queries + queryBlock - 1) / queryBlock
    let pieces = heads % workers == 0 || heads >= 8 * workers ? 1 : min(workers, blocks)
    let scratch = operands.scratch + worker * layout.byteCount
    var packed = -1
    for part in heads * pieces * worker / workers..<heads * pieces * (worker + 1) / workers {
      let (head, piece) = (part / pieces, part % pieces)
      if head != packed { pack(operands, head, scratch) }
      packed = head
      for block in blocks * piece / pieces..<blocks * (piece + 1) / pieces {
        run(operands, head, first: block * queryBlock, scratch)
      }
    }
  }

  /// Where a head's elements begin.
  private func offset(_ strides: Attention.Strides, _ head: Int) -> Int {
    head / attention.heads * strides.batch + head % attention.heads * strides.head
  }

  private func floats(_ scratch: UnsafeMutableRawPointer, _ offset: Int) -> UnsafeMutablePointer<Float> {
    (scratch + offset).assumingMemoryBound(to: Float.self)
  }

  /// Lays a head's keys and values out in panels.
  private func pack(_ operands: Operands, _ head: Int, _ scratch: UnsafeMutableRawPointer) {
    let (k, v) = (attention.k, attention.v)
    scores.pack(
      operands.k + offset(k, head), steps: k.column, columns: k.row, 0..<scores.panels,
      to: floats(scratch, layout.keys))
    values.pack(
      operands.v + offset(v, head), steps: v.row, columns: v.column, 0..<values.panels,
      to: floats(scratch, layout.values))
  }

  /// One block of queries.
  private func run(_ operands: Operands, _ head: Int, first: Int, _ scratch: UnsafeMutableRawPointer) {
    let a = attention
    let rows = min(queryBlock, a.queries - first)
    let q = operands.q + offset(a.q, head) + first * a.q.row
    let result = operands.result + offset(a.result, head) + first * a.result.row
    let stride = Self.stride(keyBlock)
    var block = martlet_scores()
    block.scores = floats(scratch, layout.scores)
    block.stride = Int64(stride)
    block.rows = Int64(rows)
    block.scale = a.scale
    block.maxima = floats(scratch, layout.maxima)
    block.sums = floats(scratch, layout.sums)
    block.results = result
    block.result_stride = Int64(a.result.row)
    block.result_columns = Int64(a.valueWidth)
    for key in Swift.stride(from: 0, to: a.keys, by: keyBlock) {
      let columns = min(keyBlock, a.keys - key)
      multiply(
        q, stride: a.q.row, rows, scores, scoreTiles, floats(scratch, layout.keys), from: 0, depth: a.width,
        columns: key..<key + columns, to: block.scores, stride: stride, adding: false)
      if let mask = a.mask, let address = operands.mask {
        block.mask = address + offset(mask, head) + first * mask.row + key * mask.column
        block.mask_stride = Int64(mask.row)
      }
      block.columns = Int64(columns)
      block.is_first = key == 0 ? 1 : 0
      weights.scores(&block)
      multiply(
        block.scores, stride: stride, rows, values, valueTiles, floats(scratch, layout.values), from: key,
        depth: columns, columns: 0..<a.valueWidth, to: result, stride: a.result.row, adding: key > 0)
    }
    quotients.scores(&block)
  }

  /// c = a · b or c + a · b for some rows of a and columns of b, of which the first begins a panel.
  private func multiply(
    _ a: UnsafePointer<Float>, stride: Int, _ rows: Int, _ blocking: ProductBlocking, _ tiles: TileSet,
    _ panels: UnsafePointer<Float>, from start: Int, depth: Int, columns: Range<Int>,
    to c: UnsafeMutablePointer<Float>, stride cStride: Int, adding: Bool
  ) {
    var tile = martlet_tile()
    tile.a_stride = Int64(stride)
    tile.c_stride = Int64(cStride)
    tile.addend_stride = Int64(cStride)
    tile.depth = Int64(depth)
    for column in Swift.stride(from: columns.lowerBound, to: columns.upperBound, by: blocking.width) {
      tile.b = panels + blocking.offset(ofPanel: column / blocking.width, from: start)
      tile.columns = Int64(min(blocking.width, columns.upperBound - column))
      for row in Swift.stride(from: 0, to: rows, by: blocking.rows) {
        tile.a = a + row * stride
        tile.c = c + row * cStride + (column - columns.lowerBound)
        tile.addend = adding ? UnsafePointer(tile.c) : nil
        tiles.run(&tile, rows: min(blocking.rows, rows - row))
      }
    }
  }
}
