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
  private let masking: AttentionMasking
  private let workers: Int
  /// q · kᵀ, in which k's rows are columns, and weights · v.
  private let scores: PanelProduct
  private let values: PanelProduct
  private let weights: TileCode
  private let quotients: TileCode
  private let blocks: AttentionBlocks
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

  /// Nil where there is no code for it.
  init?(_ attention: Attention, _ compiler: TileCompiler, _ machine: TargetMachine, workers: Int) {
    let a = attention
    guard a.valueWidth > 0, let blocks = AttentionBlocks(a, compiler, machine), let mask = ScoresMask(a) else {
      return nil
    }
    let values = ProductBlocking(
      m: blocks.queries, n: a.valueWidth, k: a.keys, lanes: compiler.lanes, machine, depth: blocks.keys)
    guard let scoreProduct = PanelProduct(blocks.scores, heights: blocks.queryHeights, compiler),
      let valueProduct = PanelProduct(values, heights: blocks.queryHeights, compiler),
      let weights = try? compiler.code(of: .weights(mask)), let quotients = try? compiler.code(of: .quotients)
    else { return nil }
    (self.scores, self.values, self.blocks) = (scoreProduct, valueProduct, blocks)
    (self.attention, self.workers, self.weights, self.quotients) = (attention, workers, weights, quotients)
    masking = AttentionMasking(attention: attention)
    var scratch = ScratchLayout()
    var layout = Layout()
    layout.keys = scratch.add(blocks.scores.packedBytes)
    layout.values = scratch.add(values.packedBytes)
    layout.scores = scratch.add(blocks.scoreBytes)
    layout.maxima = scratch.add(blocks.queries * MemoryLayout<Float>.stride)
    layout.sums = scratch.add(blocks.queries * MemoryLayout<Float>.stride)
    layout.byteCount = scratch.byteCount
    self.layout = layout
    scratchBytes = workers * layout.byteCount
  }

  // MARK: Running

  func bind(_ constants: [Int: Constant], _ layouts: ConstantLayouts) -> BoundCall {
    BoundCall(
      { _, slots, data in
        let execution = BoundCall.object(AttentionExecution.self, at: data)
        let attention = execution.attention
        let result = attention.operandCount
        let all = 0..<result + (attention.keepsStatistics ? 4 : 2)
        guard all.allSatisfy({ slots[$0] != nil }) else { return 1 }
        func floats(_ slot: Int) -> UnsafeMutablePointer<Float> {
          UnsafeMutableRawPointer(slots[slot]!).assumingMemoryBound(to: Float.self)
        }
        var operands = Operands(
          execution: .passUnretained(execution), slots: slots, q: floats(0), k: floats(1), v: floats(2),
          result: floats(result), maxima: attention.keepsStatistics ? floats(result + 1) : nil,
          sums: attention.keepsStatistics ? floats(result + 2) : nil,
          scratch: UnsafeMutableRawPointer(floats(all.upperBound - 1)))
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
    var slots: UnsafePointer<UnsafeMutablePointer<UInt8>?>
    var q: UnsafePointer<Float>
    var k: UnsafePointer<Float>
    var v: UnsafePointer<Float>
    var result: UnsafeMutablePointer<Float>
    var maxima: UnsafeMutablePointer<Float>?
    var sums: UnsafeMutablePointer<Float>?
    var scratch: UnsafeMutableRawPointer
  }

  /// One worker's part: some heads and, where those cannot be shared evenly, some blocks of queries of each.
  private func run(_ operands: Operands, _ worker: Int, _ team: Int) {
    let workers = min(team, self.workers)
    guard worker < workers else { return }
    let heads = attention.batch * attention.heads
    let count = (attention.queries + blocks.queries - 1) / blocks.queries
    let pieces = heads % workers == 0 || heads >= 8 * workers ? 1 : min(workers, count)
    let scratch = operands.scratch + worker * layout.byteCount
    var (packed, isSkipping) = (-1, false)
    for part in heads * pieces * worker / workers..<heads * pieces * (worker + 1) / workers {
      let (head, piece) = (part / pieces, part % pieces)
      if head != packed {
        pack(operands, head, scratch)
        isSkipping = masking.isSkipping(operands.q, operands.k, head: head)
      }
      packed = head
      // In turns: behind a causal selection the last ones have most to do.
      for block in Swift.stride(from: piece, to: count, by: pieces) {
        run(operands, head, first: block * blocks.queries, isSkipping, scratch)
      }
    }
  }

  private func floats(_ scratch: UnsafeMutableRawPointer, _ offset: Int) -> UnsafeMutablePointer<Float> {
    (scratch + offset).assumingMemoryBound(to: Float.self)
  }

  /// Lays a head's keys and values out in panels.
  private func pack(_ operands: Operands, _ head: Int, _ scratch: UnsafeMutableRawPointer) {
    let (k, v) = (attention.k, attention.v)
    scores.pack(
      operands.k + masking.offset(k, head), steps: k.column, columns: k.row, to: floats(scratch, layout.keys))
    values.pack(
      operands.v + masking.offset(v, head), steps: v.row, columns: v.column, to: floats(scratch, layout.values))
  }

  /// One block of queries.
  private func run(
    _ operands: Operands, _ head: Int, first: Int, _ isSkipping: Bool, _ scratch: UnsafeMutableRawPointer
  ) {
    let a = attention
    let rows = min(blocks.queries, a.queries - first)
    let q = operands.q + masking.offset(a.q, head) + first * a.q.row
    let result = operands.result + masking.offset(a.result, head) + first * a.result.row
    let stride = blocks.stride
    var block = martlet_scores()
    block.scores = floats(scratch, layout.scores)
    block.stride = Int64(stride)
    block.rows = Int64(rows)
    block.scale = a.scale
    block.maxima = operands.maxima.map { $0 + head * a.queries + first } ?? floats(scratch, layout.maxima)
    block.sums = operands.sums.map { $0 + head * a.queries + first } ?? floats(scratch, layout.sums)
    block.results = result
    block.result_stride = Int64(a.result.row)
    block.result_columns = Int64(a.valueWidth)
    let keys = masking.keyCount(query: first, rows: rows, isSkipping: isSkipping)
    for key in Swift.stride(from: 0, to: keys, by: blocks.keys) {
      let columns = min(blocks.keys, keys - key)
      scores.multiply(
        q, stride: a.q.row, rows: rows, floats(scratch, layout.keys), from: 0, depth: a.width,
        columns: key..<key + columns, to: block.scores, stride: stride, adding: false)
      masking.mask(&block, operands.slots, head: head, query: first, key: key)
      block.columns = Int64(columns)
      block.is_first = key == 0 ? 1 : 0
      weights.scores(&block)
      values.multiply(
        block.scores, stride: stride, rows: rows, floats(scratch, layout.values), from: key, depth: columns,
        columns: 0..<a.valueWidth, to: result, stride: a.result.row, adding: key > 0)
    }
    quotients.scores(&block)
  }
}
