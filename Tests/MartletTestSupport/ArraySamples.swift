import MartletGraph
import MartletOperations
import MartletTensors

/// Samples of operations that arrange elements.
func arraySamples() -> [(String, [ContractSample])] {
  let matrix = sample(2, 3)
  return [
    ("PlaceholderWithDefault", [ContractSample([matrix], one: { $0[0].graph.placeholder(defaultingTo: $0[0]) })]),
    ("Identity", [ContractSample([matrix], one: { identity($0[0]) })]),
    ("Reshape", [ContractSample([matrix], one: { reshape($0[0], [3, -1]) })]),
    ("ExpandDims", [ContractSample([matrix], one: { expandDims($0[0], axis: -2) })]),
    ("Squeeze", [ContractSample([sample(1, 3, 1)], one: { squeeze($0[0], axes: [2]) })]),
    ("Transpose", [ContractSample([sample(2, 3, 2)], one: { transpose($0[0], permutation: [2, 0, 1]) })]),
    ("ReverseV2", [ContractSample([matrix], one: { reverse($0[0], axes: [-1]) })]),
    ("Cast", [ContractSample([matrix], one: { cast(cast($0[0], to: .float64), to: .float64) * 1 })]),
    (
      "Fill", [ContractSample([sample()], one: { fill([2, 3], with: $0[0]) })]
    ),
    ("BroadcastTo", [ContractSample([sample(2, 1)], one: { broadcast($0[0], to: [3, 2, 4]) })]),
    (
      "_SumToShape",
      [ContractSample([sample(3, 2, 2)], one: { sumToShape($0[0], $0[0].graph.constant([2, 1])) })]
    ),
    (
      "SelectV2",
      [
        ContractSample([matrix, sample(3, seed: 2)]) { x in
          let condition = x[0].graph.constant([true, false, true, false, false, true], shape: [2, 3])
          return [select(condition, x[0], x[1])]
        }
      ]
    ),
    (
      "Select",
      [
        ContractSample([matrix, sample(2, 3, seed: 2)]) { x in
          let condition = x[0].graph.constant([true, false, true, false, false, true], shape: [2, 3])
          return try apply("Select", [:], [condition] + x)
        },
        ContractSample([matrix, sample(2, 3, seed: 2)]) { x in
          try apply("Select", [:], [x[0].graph.constant([true, false])] + x)
        },
      ]
    ),
    ("ConcatV2", [ContractSample([matrix, sample(2, 1, seed: 2)], one: { concat($0, axis: -1) })]),
    ("Split", [ContractSample([sample(2, 4)]) { split($0[0], into: 2, axis: 1) }]),
    ("SplitV", [ContractSample([sample(2, 4)]) { split($0[0], sizes: [1, 3], axis: 1) }]),
    ("Pack", [ContractSample([matrix, sample(2, 3, seed: 2)], one: { stack($0, axis: 1) })]),
    ("Unpack", [ContractSample([matrix]) { unstack($0[0], axis: 1) }]),
    ("Slice", [ContractSample([sample(3, 4)], one: { slice($0[0], begin: [1, 0], size: [2, 3]) })]),
    (
      "StridedSlice",
      [
        ContractSample([sample(4, 3)]) { x in
          let graph = x[0].graph
          let bounds = [[3, 0], [0, 3], [-2, 2]].map { graph.constant($0) }
          return try apply("StridedSlice", [:], [x[0]] + bounds)
        },
        ContractSample([sample(4, 3)], one: { $0[0][1] }),
      ]
    ),
    (
      "StridedSliceGrad",
      [
        ContractSample([sample(2, 2)]) { x in
          let graph = x[0].graph
          let bounds = [[4, 3], [3, 0], [0, 3], [-2, 2]].map { graph.constant($0) }
          return try apply("StridedSliceGrad", [:], bounds + [x[0]])
        }
      ]
    ),
    (
      "Pad",
      [ContractSample([matrix], one: { pad($0[0], paddings: $0[0].graph.constant([1, 0, 0, 2], shape: [2, 2])) })]
    ),
    (
      "PadV2",
      [
        ContractSample(
          [matrix, sample()],
          one: { pad($0[0], paddings: $0[0].graph.constant([1, 0, 0, 2], shape: [2, 2]), value: $0[1]) })
      ]
    ),
    ("Tile", [ContractSample([matrix], one: { tile($0[0], multiples: [2, 3]) })]),
    (
      "GatherV2",
      [
        ContractSample([sample(4, 2)], one: { gather($0[0], $0[0].graph.constant([2, 0, 2])) }),
        ContractSample([sample(2, 4)], one: { gather($0[0], $0[0].graph.constant([3, 1, 3]), axis: 1) }),
        ContractSample(
          [sample(2, 3, 2)],
          one: { gather($0[0], $0[0].graph.constant([2, 0, 1, 1], shape: [2, 2]), axis: 1, batchDims: 1) }),
      ]
    ),
    (
      "UnsortedSegmentSum",
      [
        ContractSample(
          [sample(4, 2)],
          one: { unsortedSegmentSum($0[0], $0[0].graph.constant([2, 0, -1, 2]), count: $0[0].graph.constant(3)) })
      ]
    ),
    (
      "OneHot",
      [
        ContractSample([sample(), sample(seed: 2)]) { x in
          let graph = x[0].graph
          return try apply("OneHot", [:], [graph.constant([2, 0, 5]), graph.constant(3), x[0], x[1]])
        }
      ]
    ),
  ]
}
