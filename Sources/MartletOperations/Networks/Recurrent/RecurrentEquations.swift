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

/// The gradient of a hyperbolic tangent from its result.
func tanhGradient(_ y: Output, _ dy: Output) -> Output { y.graph.addOne(TanhGrad(), [y, dy]) }
/// The gradient of a logistic function from its result.
func sigmoidGradient(_ y: Output, _ dy: Output) -> Output { y.graph.addOne(SigmoidGrad(), [y, dy]) }
