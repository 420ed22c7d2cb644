import CMartletRuntime
import MartletExecution
import MartletGraph
import MartletTensors

/// The gradient of attention by tiles of products and generated code between them, without weights in memory.
///
/// Of a head, or of a piece of its keys, one worker computes for a block of keys and, block by block, the queries: the
/// weights again, their gradients, and with them its part of the three results. The gradients of the keys and the values
/// are then complete; those of the queries are added up over the blocks of keys, and over pieces by another round in
/// their order. What the pieces are depends on the extents alone: the bits are the same for any number of workers.
final class AttentionGradientExecution: LibraryExecution {
  let isWide = true
  let scratchBytes: Int
  private let gradient: AttentionGradient
  private let attention: Attention
  private let masking: AttentionMasking
  private let workers: Int
  /// q · kᵀ and do · vᵀ.
  private let scores: PanelProduct
  private let weightGradients: PanelProduct
  /// ds · k, dsᵀ · q, pᵀ · do.
  private let queryGradients: PanelProduct
  private let keyGradients: PanelProduct
  private let valueGradients: PanelProduct
  private let code: TileCode
  private let products: TileCode
  private let blocks: AttentionBlocks
  /// The pieces of each head's keys.
  private let pieces: Int
  private let layout: Layout

  /// Where a worker keeps things in its scratch memory, and where all keep parts of sums, in bytes.
  private struct Layout {
    /// k and v as the right factors of scores and of the weights' gradients.
    var scoreKeys = 0
    var values = 0
    /// k, q and do as those of the results.
    var keys = 0
    var queries = 0
    var gradients = 0
    var scores = 0
    var weightGradients = 0
    var products = 0
    var byteCount = 0
    var partialSums = 0
  }

  /// Into how many pieces work is cut at least, if that takes no more than so many parts of a sum.
  private static let pieceCount = (wanted: 16, perHead: 4)

  /// Nil where there is no code for it.
  init?(_ gradient: AttentionGradient, _ compiler: TileCompiler, _ machine: TargetMachine, workers: Int) {
    let a = gradient.attention
    let heads = a.batch * a.heads
    func isInRows(_ strides: Attention.Strides?, _ width: Int) -> Bool { (strides?.column ?? 1) == 1 || width == 1 }
    guard let blocks = AttentionBlocks(a, compiler, machine), (1...1024).contains(a.valueWidth),
      isInRows(gradient.resultGradient, a.valueWidth),
      isInRows(gradient.queryGradient, a.width), isInRows(gradient.keyGradient, a.width),
      isInRows(gradient.valueGradient, a.valueWidth), let mask = ScoresMask(a)
    else { return nil }
    func blocking(m: Int, n: Int, k: Int, depth: Int) -> ProductBlocking {
      ProductBlocking(m: m, n: n, k: k, lanes: compiler.lanes, machine, depth: depth)
    }
    let (queryBlock, keyBlock, queryHeights) = (blocks.queries, blocks.keys, blocks.queryHeights)
    let keyHeights = [min(keyBlock, a.keys), a.keys % keyBlock]
    guard let scoreProduct = PanelProduct(blocks.scores, heights: queryHeights, compiler),
      let weightGradients = PanelProduct(
        blocking(m: a.queries, n: a.keys, k: a.valueWidth, depth: a.valueWidth), heights: queryHeights, compiler),
      let queryGradients = PanelProduct(
        blocking(m: queryBlock, n: a.width, k: a.keys, depth: keyBlock), heights: queryHeights, compiler),
      let keyGradients = PanelProduct(
        blocking(m: keyBlock, n: a.width, k: a.queries, depth: queryBlock), heights: keyHeights, isByColumns: true,
        compiler),
      let valueGradients = PanelProduct(
        blocking(m: keyBlock, n: a.valueWidth, k: a.queries, depth: queryBlock), heights: keyHeights,
        isByColumns: true, compiler),
      let code = try? compiler.code(of: .gradients(mask)), let products = try? compiler.code(of: .products)
    else { return nil }
    (self.gradient, attention, self.workers, self.blocks) = (gradient, a, workers, blocks)
    masking = AttentionMasking(attention: a)
    (self.scores, self.weightGradients, self.queryGradients) = (scoreProduct, weightGradients, queryGradients)
    (self.keyGradients, self.valueGradients, self.code, self.products) = (keyGradients, valueGradients, code, products)
    let keyBlocks = (a.keys + keyBlock - 1) / keyBlock
    pieces = min((Self.pieceCount.wanted + heads - 1) / heads, Self.pieceCount.perHead, keyBlocks)
    var scratch = ScratchLayout()
    var layout = Layout()
    layout.scoreKeys = scratch.add(blocks.scores.packedBytes)
    layout.values = scratch.add(weightGradients.blocking.packedBytes)
    layout.keys = scratch.add(queryGradients.blocking.packedBytes)
    layout.queries = scratch.add(keyGradients.blocking.packedBytes)
    layout.gradients = scratch.add(valueGradients.blocking.packedBytes)
    layout.scores = scratch.add(blocks.scoreBytes)
    layout.weightGradients = scratch.add(blocks.scoreBytes)
    layout.products = scratch.add(a.queries * MemoryLayout<Float>.stride)
    layout.byteCount = scratch.byteCount
    layout.partialSums = workers * layout.byteCount
    self.layout = layout
    let partialBytes = heads * pieces * a.queries * a.width * MemoryLayout<Float>.stride
    scratchBytes = layout.partialSums + (pieces > 1 && gradient.queryGradient != nil ? partialBytes : 0)
  }

  // MARK: Running

  func bind(_ constants: [Int: Constant], _ layouts: ConstantLayouts) -> BoundCall {
    BoundCall(
      { _, slots, data in
        let execution = BoundCall.object(AttentionGradientExecution.self, at: data)
        let gradient = execution.gradient
        let first = gradient.attention.operandCount
        let results = [gradient.queryGradient, gradient.keyGradient, gradient.valueGradient]
        let count = first + 4 + results.count { $0 != nil } + 1
        guard (0..<count).allSatisfy({ slots[$0] != nil }) else { return 1 }
        func floats(_ slot: Int) -> UnsafeMutablePointer<Float> {
          UnsafeMutableRawPointer(slots[slot]!).assumingMemoryBound(to: Float.self)
        }
        var next = first + 4
        func result(_ strides: Attention.Strides?) -> UnsafeMutablePointer<Float>? {
          guard strides != nil else { return nil }
          defer { next += 1 }
          return floats(next)
        }
        var operands = Operands(
          execution: .passUnretained(execution), slots: slots, q: floats(0), k: floats(1), v: floats(2),
          resultGradient: floats(first), result: floats(first + 1), maxima: floats(first + 2),
          sums: floats(first + 3), queryGradient: result(results[0]), keyGradient: result(results[1]),
          valueGradient: result(results[2]), scratch: UnsafeMutableRawPointer(floats(count - 1)))
        martlet_team_parallel(
          { context, worker, workers in
            guard let operands = context?.assumingMemoryBound(to: Operands.self).pointee else { return }
            operands.execution.takeUnretainedValue().run(operands, Int(worker), Int(workers))
          }, &operands)
        guard execution.pieces > 1, gradient.queryGradient != nil else { return 0 }
        martlet_team_parallel(
          { context, worker, workers in
            guard let operands = context?.assumingMemoryBound(to: Operands.self).pointee else { return }
            operands.execution.takeUnretainedValue().addUp(operands, Int(worker), Int(workers))
          }, &operands)
        return 0
      }, object: self)
  }

  /// What the workers are told.
  private struct Operands {
    var execution: Unmanaged<AttentionGradientExecution>
    var slots: UnsafePointer<UnsafeMutablePointer<UInt8>?>
    var q: UnsafePointer<Float>
    var k: UnsafePointer<Float>
    var v: UnsafePointer<Float>
    var resultGradient: UnsafePointer<Float>
    var result: UnsafeMutablePointer<Float>
    var maxima: UnsafeMutablePointer<Float>
    var sums: UnsafeMutablePointer<Float>
    var queryGradient: UnsafeMutablePointer<Float>?
    var keyGradient: UnsafeMutablePointer<Float>?
    var valueGradient: UnsafeMutablePointer<Float>?
    var scratch: UnsafeMutableRawPointer
  }

  /// One worker's part: some pieces.
  private func run(_ operands: Operands, _ worker: Int, _ team: Int) {
    let workers = min(team, self.workers)
    guard worker < workers else { return }
    let scratch = operands.scratch + worker * layout.byteCount
    let keyBlocks = (attention.keys + blocks.keys - 1) / blocks.keys
    let count = attention.batch * attention.heads * pieces
    var (packed, isSkipping) = (-1, false)
    // In turns: behind a causal selection the first pieces of a head have most to do.
    for part in Swift.stride(from: worker, to: count, by: workers) {
      let (head, piece) = (part / pieces, part % pieces)
      if head != packed {
        pack(operands, head, scratch)
        isSkipping = masking.isSkipping(operands.q, operands.k, head: head)
      }
      packed = head
      let target = queryTarget(operands, head, piece)
      if let target { clear(target.rows, stride: target.stride, attention.queries, attention.width) }
      for block in keyBlocks * piece / pieces..<keyBlocks * (piece + 1) / pieces {
        run(operands, head, key: block * blocks.keys, target, isSkipping, scratch)
      }
    }
  }

  /// Where a piece's gradients of the queries are added up.
  private func queryTarget(
    _ operands: Operands, _ head: Int, _ piece: Int
  ) -> (rows: UnsafeMutablePointer<Float>, stride: Int)? {
    guard let strides = gradient.queryGradient, let result = operands.queryGradient else { return nil }
    guard pieces > 1 else { return (result + masking.offset(strides, head), strides.row) }
    return (partialSums(operands, head, piece), attention.width)
  }

  private func partialSums(_ operands: Operands, _ head: Int, _ piece: Int) -> UnsafeMutablePointer<Float> {
    floats(operands.scratch, layout.partialSums) + (head * pieces + piece) * attention.queries * attention.width
  }

  private func clear(_ rows: UnsafeMutablePointer<Float>, stride: Int, _ count: Int, _ width: Int) {
    for row in 0..<count { (rows + row * stride).update(repeating: 0, count: width) }
  }

  /// Adds the pieces' gradients of the queries, in their order.
  private func addUp(_ operands: Operands, _ worker: Int, _ team: Int) {
    guard let strides = gradient.queryGradient, let result = operands.queryGradient else { return }
    let (queries, width) = (attention.queries, attention.width)
    let count = attention.batch * attention.heads * queries
    for number in count * worker / team..<count * (worker + 1) / team {
      let (head, row) = (number / queries, number % queries)
      let target = result + masking.offset(strides, head) + row * strides.row
      target.update(from: partialSums(operands, head, 0) + row * width, count: width)
      for piece in 1..<pieces {
        let part = partialSums(operands, head, piece) + row * width
        for column in 0..<width { target[column] += part[column] }
      }
    }
  }

  private func floats(_ scratch: UnsafeMutableRawPointer, _ offset: Int) -> UnsafeMutablePointer<Float> {
    (scratch + offset).assumingMemoryBound(to: Float.self)
  }

  /// Lays a head's matrices out in panels, and multiplies its results with their gradients.
  private func pack(_ operands: Operands, _ head: Int, _ scratch: UnsafeMutableRawPointer) {
    let (q, k, v, outer) = (attention.q, attention.k, attention.v, gradient.resultGradient)
    let keys = operands.k + masking.offset(k, head)
    let gradients = operands.resultGradient + masking.offset(outer, head)
    scores.pack(keys, steps: k.column, columns: k.row, to: floats(scratch, layout.scoreKeys))
    weightGradients.pack(
      operands.v + masking.offset(v, head), steps: v.column, columns: v.row, to: floats(scratch, layout.values))
    if operands.queryGradient != nil {
      queryGradients.pack(keys, steps: k.row, columns: k.column, to: floats(scratch, layout.keys))
    }
    if operands.keyGradient != nil {
      keyGradients.pack(
        operands.q + masking.offset(q, head), steps: q.row, columns: q.column, to: floats(scratch, layout.queries))
    }
    if operands.valueGradient != nil {
      valueGradients.pack(gradients, steps: outer.row, columns: outer.column, to: floats(scratch, layout.gradients))
    }
    var block = martlet_scores()
    block.rows = Int64(attention.queries)
    block.results = operands.result + masking.offset(attention.result, head)
    block.result_stride = Int64(attention.result.row)
    block.result_columns = Int64(attention.valueWidth)
    block.gradients = gradients
    block.gradient_stride = Int64(outer.row)
    block.products = floats(scratch, layout.products)
    products.scores(&block)
  }

  /// One block of keys.
  private func run(
    _ operands: Operands, _ head: Int, key: Int, _ target: (rows: UnsafeMutablePointer<Float>, stride: Int)?,
    _ isSkipping: Bool, _ scratch: UnsafeMutableRawPointer
  ) {
    let a = attention
    let columns = min(blocks.keys, a.keys - key)
    let stride = blocks.stride
    let keyTarget = rows(operands.keyGradient, gradient.keyGradient, head, key)
    let valueTarget = rows(operands.valueGradient, gradient.valueGradient, head, key)
    if let keyTarget { clear(keyTarget.rows, stride: keyTarget.stride, columns, a.width) }
    if let valueTarget { clear(valueTarget.rows, stride: valueTarget.stride, columns, a.valueWidth) }
    var block = martlet_scores()
    block.scores = floats(scratch, layout.scores)
    block.stride = Int64(stride)
    block.columns = Int64(columns)
    block.scale = a.scale
    block.weight_gradients = floats(scratch, layout.weightGradients)
    block.factor = gradient.factor
    for query in Swift.stride(from: 0, to: a.queries, by: blocks.queries) {
      let rows = min(blocks.queries, a.queries - query)
      guard masking.keyCount(query: query, rows: rows, isSkipping: isSkipping) > key else { continue }
      scores.multiply(
        operands.q + masking.offset(a.q, head) + query * a.q.row, stride: a.q.row, rows: rows,
        floats(scratch, layout.scoreKeys), from: 0, depth: a.width, columns: key..<key + columns, to: block.scores,
        stride: stride, adding: false)
      let outer = gradient.resultGradient
      weightGradients.multiply(
        operands.resultGradient + masking.offset(outer, head) + query * outer.row, stride: outer.row, rows: rows,
        floats(scratch, layout.values), from: 0, depth: a.valueWidth, columns: key..<key + columns,
        to: block.weight_gradients, stride: stride, adding: false)
      masking.mask(&block, operands.slots, head: head, query: query, key: key)
      block.rows = Int64(rows)
      block.maxima = operands.maxima + head * a.queries + query
      block.sums = operands.sums + head * a.queries + query
      block.products = floats(scratch, layout.products) + query
      code.scores(&block)
      if let valueTarget {
        valueGradients.multiply(
          block.scores, stride: stride, rows: columns, floats(scratch, layout.gradients), from: query, depth: rows,
          columns: 0..<a.valueWidth, to: valueTarget.rows, stride: valueTarget.stride, adding: true)
      }
      if let keyTarget {
        keyGradients.multiply(
          block.weight_gradients, stride: stride, rows: columns, floats(scratch, layout.queries), from: query,
          depth: rows, columns: 0..<a.width, to: keyTarget.rows, stride: keyTarget.stride, adding: true)
      }
      if let target {
        queryGradients.multiply(
          block.weight_gradients, stride: stride, rows: rows, floats(scratch, layout.keys), from: key, depth: columns,
          columns: 0..<a.width, to: target.rows + query * target.stride, stride: target.stride, adding: true)
      }
    }
  }

  /// Where the rows of a result that belong to some keys begin.
  private func rows(
    _ result: UnsafeMutablePointer<Float>?, _ strides: Attention.Strides?, _ head: Int, _ key: Int
  ) -> (rows: UnsafeMutablePointer<Float>, stride: Int)? {
    guard let result, let strides else { return nil }
    return (result + masking.offset(strides, head) + key * strides.row, strides.row)
  }
}
