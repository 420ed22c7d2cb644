import Foundation
import Testing

/// The extents of an attention, and what it is in double precision.
struct AttentionSize: CustomTestStringConvertible, Sendable {
  var batch = 1
  var heads = 1
  var queries: Int
  var keys: Int
  var width: Int
  var valueWidth: Int
  var testDescription: String { "\(batch)·\(heads) heads, \(queries)×\(keys), widths \(width) and \(valueWidth)" }

  var shapes: [[Int]] {
    [[batch, heads, queries, width], [batch, heads, keys, width], [batch, heads, keys, valueWidth]]
  }

  /// Attention to arrays [batch, heads, rows, columns].
  ///
  /// - Parameter masked: the score for a product, given its batch, head, query and key.
  func attention(
    _ q: [Double], _ k: [Double], _ v: [Double], masked: (Double, Int, Int, Int, Int) -> Double
  ) -> [Double] {
    var result: [Double] = []
    for head in 0..<batch * heads {
      for i in 0..<queries {
        let scores = (0..<keys).map { j -> Double in
          var sum = 0.0
          for c in 0..<width { sum += q[(head * queries + i) * width + c] * k[(head * keys + j) * width + c] }
          return masked(sum, head / heads, head % heads, i, j)
        }
        let greatest = scores.max() ?? 0
        let weights = scores.map { exp($0 - greatest) }
        let total = weights.reduce(0, +)
        for c in 0..<valueWidth {
          var sum = 0.0
          for j in 0..<keys { sum += weights[j] * v[(head * keys + j) * valueWidth + c] }
          result.append(sum / total)
        }
      }
    }
    return result
  }
}
