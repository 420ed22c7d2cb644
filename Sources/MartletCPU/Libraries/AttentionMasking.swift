import CMartletRuntime
import MartletGraph

/// Which elements of its operands a block of attention's scores is masked with, and which blocks need not be computed.
struct AttentionMasking: Sendable {
  let attention: Attention

  /// What the exponential of a distance from the greatest score below this is: 0.
  private static let lowestExponent: Float = -104

  /// Where the elements of a head begin.
  func offset(_ strides: Attention.Strides, _ head: Int) -> Int {
    head / attention.heads * strides.batch + head % attention.heads * strides.head
  }

  /// Says what masks a block of scores.
  ///
  /// - Parameters:
  ///   - operands: all operands, in the order of the contract.
  ///   - query: the first row.
  ///   - key: the first column.
  func mask(
    _ block: inout martlet_scores, _ operands: UnsafePointer<UnsafeMutablePointer<UInt8>?>, head: Int,
    query: Int, key: Int
  ) {
    if let mask = attention.mask, let address = operands[3] {
      let elements = UnsafeMutableRawPointer(address).assumingMemoryBound(to: Float.self)
      block.mask = UnsafePointer(elements + offset(mask, head) + query * mask.row + key * mask.column)
      block.mask_stride = Int64(mask.row)
    }
    guard let selection = attention.selection else { return }
    block.excluded = selection.value
    switch selection.condition {
    case .causal(let offset): block.limit = Int64(query + offset - key)
    case .elements(let strides, _):
      guard let conditions = operands[attention.operandCount - 1] else { return }
      block.condition = UnsafePointer(conditions + offset(strides, head) + query * strides.row + key * strides.column)
      block.condition_stride = Int64(strides.row)
    }
  }

  /// How many keys some queries need, from the first on: those behind them have the weight 0.
  func keyCount(query: Int, rows: Int, isSkipping: Bool) -> Int {
    // A query without keys of its own has the same weight for all.
    guard isSkipping, case .causal(let offset) = attention.selection?.condition, query + offset >= 0 else {
      return attention.keys
    }
    return min(attention.keys, query + rows + offset)
  }

  /// Whether what a causal selection excludes has the weight 0 for certain: the scores of a head are no greater than
  /// the norms of a row of q and of one of k multiplied.
  func isSkipping(_ q: UnsafePointer<Float>, _ k: UnsafePointer<Float>, head: Int) -> Bool {
    let a = attention
    guard let selection = a.selection, case .causal = selection.condition,
      a.mask == nil || selection.value == -.infinity
    else { return false }
    let bound =
      abs(a.scale) * greatestNorm(q + offset(a.q, head), a.q, rows: a.queries)
      * greatestNorm(k + offset(a.k, head), a.k, rows: a.keys)
    return bound.isFinite && selection.value < Self.lowestExponent - 2.1 * bound
  }

  /// The greatest norm of a row; ∞ where an element is not finite.
  private func greatestNorm(_ x: UnsafePointer<Float>, _ strides: Attention.Strides, rows: Int) -> Float {
    var (greatest, total): (Float, Float) = (0, 0)
    for row in 0..<rows {
      var sum: Float = 0
      for column in 0..<attention.width {
        let element = x[row * strides.row + column * strides.column]
        sum += element * element
      }
      greatest = max(greatest, sum)
      total += sum
    }
    return total.isFinite ? greatest.squareRoot() : .infinity
  }
}
