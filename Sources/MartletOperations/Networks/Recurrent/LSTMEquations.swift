import MartletGraph

/// `RecurrentCell.lstm`.
struct LSTMEquations: RecurrentEquations {
  let weights: Output
  let inputBias: Output

  func step(_ projected: Output, _ state: [Output]) -> RecurrentStep {
    let gates = split(projected + matMul(state[0], weights, transposeB: true), into: 4, axis: 1)
    let (i, f, g, o) = (sigmoid(gates[0]), sigmoid(gates[1]), tanh(gates[2]), sigmoid(gates[3]))
    let cell = f * state[1] + i * g
    let squashed = tanh(cell)
    return RecurrentStep(state: [o * squashed, cell], kept: [i, f, g, o, squashed])
  }

  func gradient(of step: RecurrentStep, from state: [Output], _ upstream: [Output]) -> RecurrentStepGradient {
    let (i, f, g, o, squashed) = (step.kept[0], step.kept[1], step.kept[2], step.kept[3], step.kept[4])
    let cell = upstream[1] + tanhGradient(squashed, upstream[0] * o)
    let gates = concat(
      [
        sigmoidGradient(i, cell * g), sigmoidGradient(f, cell * state[1]), tanhGradient(g, cell * i),
        sigmoidGradient(o, upstream[0] * squashed),
      ], axis: 1)
    return RecurrentStepGradient(
      projected: gates, products: [(gates, state[0])], state: [matMul(gates, weights), cell * f])
  }
}
