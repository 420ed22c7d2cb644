import MartletGraph

/// `RecurrentCell.gru`.
struct GRUEquations: RecurrentEquations {
  let weights: Output
  let inputBias: Output
  let bias: Output

  func step(_ projected: Output, _ state: [Output]) -> RecurrentStep {
    let x = split(projected, into: 3, axis: 1)
    let h = split(biasAdd(matMul(state[0], weights, transposeB: true), bias), into: 3, axis: 1)
    let (r, z) = (sigmoid(x[0] + h[0]), sigmoid(x[1] + h[1]))
    let n = tanh(x[2] + r * h[2])
    return RecurrentStep(state: [n + z * (state[0] - n)], kept: [r, z, n, h[2]])
  }

  func gradient(of step: RecurrentStep, from state: [Output], _ upstream: [Output]) -> RecurrentStepGradient {
    let (r, z, n, product) = (step.kept[0], step.kept[1], step.kept[2], step.kept[3])
    let candidate = tanhGradient(n, upstream[0] * (1 - z))
    let reset = sigmoidGradient(r, candidate * product)
    let update = sigmoidGradient(z, upstream[0] * (state[0] - n))
    let gates = concat([reset, update, candidate * r], axis: 1)
    return RecurrentStepGradient(
      projected: concat([reset, update, candidate], axis: 1), products: [(gates, state[0])],
      state: [upstream[0] * z + matMul(gates, weights)])
  }
}
