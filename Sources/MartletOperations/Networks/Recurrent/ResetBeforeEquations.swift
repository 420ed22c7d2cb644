import MartletGraph

/// `RecurrentCell.gruResetBefore`.
struct ResetBeforeEquations: RecurrentEquations {
  let inputBias: Output
  /// Of r and z, and of n.
  let gateWeights: Output
  let candidateWeights: Output

  init(_ weights: Output, inputBias: Output) {
    self.inputBias = inputBias
    let blocks = split(weights, into: 3, axis: 0)
    gateWeights = concat([blocks[0], blocks[1]], axis: 0)
    candidateWeights = blocks[2]
  }

  func step(_ projected: Output, _ state: [Output]) -> RecurrentStep {
    let x = split(projected, into: 3, axis: 1)
    let h = split(matMul(state[0], gateWeights, transposeB: true), into: 2, axis: 1)
    let (r, z) = (sigmoid(x[0] + h[0]), sigmoid(x[1] + h[1]))
    let kept = r * state[0]
    let n = tanh(x[2] + matMul(kept, candidateWeights, transposeB: true))
    return RecurrentStep(state: [n + z * (state[0] - n)], kept: [r, z, n, kept])
  }

  func gradient(of step: RecurrentStep, from state: [Output], _ upstream: [Output]) -> RecurrentStepGradient {
    let (r, z, n, kept) = (step.kept[0], step.kept[1], step.kept[2], step.kept[3])
    let candidate = tanhGradient(n, upstream[0] * (1 - z))
    let towardsKept = matMul(candidate, candidateWeights)
    let gates = concat(
      [sigmoidGradient(r, towardsKept * state[0]), sigmoidGradient(z, upstream[0] * (state[0] - n))], axis: 1)
    return RecurrentStepGradient(
      projected: concat([gates, candidate], axis: 1), products: [(gates, state[0]), (candidate, kept)],
      state: [upstream[0] * z + towardsKept * r + matMul(gates, gateWeights)])
  }
}
