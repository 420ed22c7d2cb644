import MartletGraph
import MartletOperations
import MartletTensors

/// Samples of reductions and of linear algebra.
func reductionSamples() -> [(String, [ContractSample])] {
  let block = sample(2, 3, 2)
  let withZeros = Tensor([0, 1.5, 0.5, 1.2, 0, 0.7, 0, 1.1, 0.9, 1.3, 0.8, 1.6] as [Double], shape: [3, 4])
  return [
    ("AddN", [ContractSample([sample(2, 3), sample(2, 3, seed: 2), sample(2, 3, seed: 3)], one: { addN($0) })]),
    (
      "ClipByValue",
      [
        ContractSample(
          [distinct(2, 3), Tensor(-0.52), Tensor([0.53, 0.54, 0.56])], one: { ($0[0] * 1).clipped($0[1], $0[2]) })
      ]
    ),
    ("L2Loss", [ContractSample([sample(2, 3)], one: { l2Loss($0[0]) })]),
    (
      "Sum",
      [
        ContractSample([block], one: { sum($0[0], axes: [0, -1]) }),
        ContractSample([block], one: { sum($0[0], axes: [1], keepDims: true) }),
      ]
    ),
    (
      "Mean",
      [
        ContractSample([block], one: { mean($0[0], axes: [2, 0]) }), ContractSample([block], one: { mean($0[0]) }),
      ]
    ),
    (
      "Max",
      [
        ContractSample([distinct(2, 3, 2)], one: { max($0[0], axes: [1]) }),
        ContractSample([distinct(2, 3)], one: { max($0[0], axes: [0], keepDims: true) }),
      ]
    ),
    ("Min", [ContractSample([distinct(2, 3, 2)], one: { min($0[0], axes: [-1, 0]) })]),
    (
      "Prod",
      [
        ContractSample([block], one: { product($0[0], axes: [0, 2]) }),
        ContractSample([block], one: { product($0[0], axes: [1], keepDims: true) }),
        ContractSample([withZeros], one: { product($0[0], axes: [1]) }),
        ContractSample([withZeros], one: { product($0[0], axes: [0, 1]) }),
      ]
    ),
    (
      "Cumsum",
      [
        ContractSample([sample(2, 3)], one: { cumulativeSum($0[0], axis: 1) }),
        ContractSample([sample(2, 3)], one: { cumulativeSum($0[0], axis: 0, exclusive: true, reverse: true) }),
      ]
    ),
    (
      "Cumprod",
      [false, true].flatMap { isExclusive in
        [false, true].map { isReverse in
          ContractSample([withZeros]) { x in
            [-1, 0].map { cumulativeProduct(x[0], axis: $0, exclusive: isExclusive, reverse: isReverse) }
          }
        }
      } + [
        ContractSample([sample(2, 1)], one: { cumulativeProduct($0[0], axis: 1, exclusive: true) })
      ]
    ),
    (
      "MatMul",
      [(false, false), (false, true), (true, false), (true, true)].map { (a, b) in
        ContractSample([a ? sample(3, 2) : sample(2, 3), b ? sample(4, 3, seed: 2) : sample(3, 4, seed: 2)]) {
          [matMul($0[0], $0[1], transposeA: a, transposeB: b)]
        }
      }
    ),
    (
      "BatchMatMulV2",
      [
        ContractSample([sample(2, 2, 3), sample(2, 3, 2, seed: 2)], one: { batchMatMul($0[0], $0[1]) }),
        ContractSample(
          [sample(3, 2), sample(2, 2, 3, seed: 2)],
          one: { batchMatMul($0[0], $0[1], adjointX: true, adjointY: true) }),
        ContractSample([sample(2, 2, 3), sample(3, 2, seed: 2)], one: { batchMatMul($0[0], $0[1]) }),
      ]
    ),
  ]
}

extension Output {
  /// `ClipByValue` itself.
  func clipped(_ low: Output, _ high: Output) -> Output { clip(self, min: low, max: high) }
}
