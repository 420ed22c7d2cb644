import MartletGraph

/// The gradient of a step.
struct RecurrentStepGradient {
  var projected: Output
  /// For blocks of rows of the recurrent weights, one below the other, the gradient of the product and what it is a product
  /// with: the weights' gradient is gradientᵀ · operand.
  var products: [(gradient: Output, operand: Output)]
  /// Of the state before the step.
  var state: [Output]
}
