import MartletGraph

/// What a cell computes in a step, and its gradient, as operations. States and gates have a row for each element of the
/// batch.
protocol RecurrentEquations {
  /// What is added to the products of all steps' inputs.
  var inputBias: Output { get }
  /// A step.
  ///
  /// - Parameter projected: The product of the step's input and the weights, with the bias, gates side by side.
  func step(_ projected: Output, _ state: [Output]) -> RecurrentStep
  /// The gradient of a step that was made from `state`.
  ///
  /// - Parameter upstream: The gradients of the state behind the step.
  func gradient(of step: RecurrentStep, from state: [Output], _ upstream: [Output]) -> RecurrentStepGradient
}

struct RecurrentStep {
  /// The state behind the step: h, and c where there is one.
  var state: [Output]
  /// What the gradient needs beside.
  var kept: [Output]
}

struct RecurrentStepGradient {
  var projected: Output
  /// For blocks of rows of the recurrent weights, one below the other, the gradient of the product and what it is a product
  /// with: the weights' gradient is gradientᵀ · operand.
  var products: [(gradient: Output, operand: Output)]
  /// Of the state before the step.
  var state: [Output]
}

extension RecurrentCell {
  /// - Parameters:
  ///   - weights: Of the state, [gates · hidden, hidden].
  ///   - biases: Of the input's product and of the state's.
  func equations(_ weights: Output, biases: (Output, Output)) -> any RecurrentEquations {
    switch self {
    case .lstm: LSTMEquations(weights: weights, inputBias: biases.0 + biases.1)
    case .gru: GRUEquations(weights: weights, inputBias: biases.0, bias: biases.1)
    case .gruResetBefore: ResetBeforeEquations(weights, inputBias: biases.0 + biases.1)
    case .tanh: ElmanEquations(weights: weights, inputBias: biases.0 + biases.1, isRelu: false)
    case .relu: ElmanEquations(weights: weights, inputBias: biases.0 + biases.1, isRelu: true)
    }
  }
}

private struct LSTMEquations: RecurrentEquations {
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

private struct GRUEquations: RecurrentEquations {
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

private struct ResetBeforeEquations: RecurrentEquations {
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

private struct ElmanEquations: RecurrentEquations {
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

private func tanhGradient(_ y: Output, _ dy: Output) -> Output { y.graph.addOne(TanhGrad(), [y, dy]) }
private func sigmoidGradient(_ y: Output, _ dy: Output) -> Output { y.graph.addOne(SigmoidGrad(), [y, dy]) }
