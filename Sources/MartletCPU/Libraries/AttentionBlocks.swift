import MartletGraph

/// How much of attention is worked on at a time: a block of queries with a block of keys, whose scores stay in the
/// second-level cache.
struct AttentionBlocks {
  /// Of q · kᵀ.
  let scores: ProductBlocking
  /// Queries of a block, and keys.
  let queries: Int
  let keys: Int
  /// The different numbers of queries that blocks have.
  let queryHeights: [Int]

  /// With fewer multiplications there is nothing to gain.
  private static let narrowLimit = 1 << 18
  /// Scores of a block: 128 kB.
  private static let scoreLimit = 1 << 15

  /// Nil where there is no code for it, or hardly any work.
  init?(_ a: Attention, _ compiler: TileCompiler, _ machine: TargetMachine) {
    let work = Double(a.batch * a.heads) * Double(a.queries) * Double(a.keys) * Double(a.width + a.valueWidth)
    guard a.elementType == .float32, compiler.lanes == 16, work >= Double(Self.narrowLimit), a.queries > 0,
      (1...1024).contains(a.width), a.q.column == 1 || a.width == 1, a.result.column == 1 || a.valueWidth == 1
    else { return nil }
    scores = ProductBlocking(m: a.queries, n: a.keys, k: a.width, lanes: compiler.lanes, machine, depth: a.width)
    keys = ProductBlocking.evenly(a.keys, atMost: 384, multipleOf: scores.width)
    queries = ProductBlocking.evenly(a.queries, atMost: max(Self.scoreLimit / keys, 48), multipleOf: scores.rows)
    queryHeights = [min(queries, a.queries), a.queries % queries]
  }

  /// The distance of rows of scores: no power of two, whose rows would fall on the same lines of the cache.
  var stride: Int { keys + 16 }
  var scoreBytes: Int { queries * stride * MemoryLayout<Float>.stride }
}
