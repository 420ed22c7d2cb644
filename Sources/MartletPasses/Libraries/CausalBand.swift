import MartletGraph
import MartletTensors

/// A constant mask that lets query i see the keys up to i + offset.
struct CausalBand {
  var offset: Int
  /// What stands at the other keys, as a number: 0 and 1 for Booleans.
  var excluded: Float
  /// What stands at those that are seen.
  var kept: Float

  /// Nil where the mask is anything else.
  init?(_ mask: Tensor) {
    guard mask.rank >= 2, mask.shape.dropLast(2).allSatisfy({ $0 == 1 }) else { return nil }
    let (queries, keys) = (mask.shape[mask.rank - 2], mask.shape[mask.rank - 1])
    guard queries > 1, keys > 1 else { return nil }
    let values: [Float]
    switch mask.elementType {
    case .float32: values = mask.scalars(as: Float.self)
    case .bool: values = mask.scalars(as: Bool.self).map { $0 ? 1 : 0 }
    default: return nil
    }
    // The first query sees its first key, and the end of what it sees tells the rest.
    let first = values[0]
    var seen: [Int] = []
    for query in 0..<queries {
      let row = values[query * keys..<(query + 1) * keys]
      seen.append(row.firstIndex { $0 != first }.map { $0 - row.startIndex } ?? keys)
    }
    guard let end = seen.firstIndex(where: { $0 < keys }), seen[end] > 0 else { return nil }
    let offset = seen[end] - end - 1
    let other = values[end * keys + seen[end]]
    for query in 0..<queries {
      let bound = min(max(query + offset + 1, 0), keys)
      guard seen[query] == bound, values[query * keys + bound..<(query + 1) * keys].allSatisfy({ $0 == other })
      else { return nil }
    }
    (self.offset, self.excluded, self.kept) = (offset, other, first)
  }
}
