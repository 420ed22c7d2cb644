import MartletGraph

/// `RecurrentCell.tanh` and `.relu`.
struct ElmanEquations: RecurrentEquations {
  let weights: Output
  let inputBias: Output
  let isRelu: Bool

  func step(_ projected: Output, _ state: [Output]) -> RecurrentStep {
    let sum = projected + matMul(state[0], weights, transposeB: true)
    return RecurrentStep(state: [isRelu ? relu(sum) : tanh(sum)], kept: [])
  }

  func gradient(of step: RecurrentStep, from state: [Output], _ upstream: [Output]) -> RecurrentStepGradient {
    let h = step.state[0]
    let sum = isRelu ? h.graph.addOne(ReluGrad(), [upstream[0], h]) : tanhGradient(h, upstream[0])
    return RecurrentStepGradient(projected: sum, products: [(sum, state[0])], state: [matMul(sum, weights)])
  }
}
