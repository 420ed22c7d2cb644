import MartletGraph
import MartletOperations
import MartletTensors

/// A cotangent as one array; nil for none.
func dense(_ cotangent: Cotangent) -> Output? {
  switch cotangent {
  case .none: nil
  case .dense(let value): value
  case .slices(let values, let indices, let shape): densified(values, indices, shape)
  }
}

/// The sum of two cotangents or more of one value. Slices stay slices if all are.
func summed(_ parts: [Cotangent]) -> Cotangent {
  var slices: [(values: Output, indices: Output, shape: Output)] = []
  for case .slices(let values, let indices, let shape) in parts { slices.append((values, indices, shape)) }
  if slices.count == parts.count, let shape = slices.first?.shape {
    return .slices(
      values: concat(slices.map(\.values), axis: 0), indices: concat(slices.map(\.indices), axis: 0), shape: shape)
  }
  let values = parts.compactMap(dense)
  return .dense(values.count == 1 ? values[0] : addN(values))
}

/// The array that slices stand for: zeros, with each row of `values` added at its index.
///
/// - Parameters:
///   - indices: a vector of positions along the first dimension.
///   - shape: the array's shape, a vector.
func densified(_ values: Output, _ indices: Output, _ shape: Output) -> Output {
  let rows: Output
  if let count = shape.operand.known?.elements.first?.known {
    rows = shape.graph.constant(count)
  } else {
    rows = squeeze(slice(shape, begin: [0], size: [1]), axes: [0])
  }
  return unsortedSegmentSum(values, indices, count: rows)
}
