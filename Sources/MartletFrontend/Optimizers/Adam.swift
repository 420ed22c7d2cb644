import MartletGraph
import MartletOperations

/// m ← β₁·m + (1−β₁)·g; s ← β₂·s + (1−β₂)·g²; v ← v − η·√(1−β₂ᵗ)/(1−β₁ᵗ) · m/(√s+ε).
///
/// Kingma and Ba, 2015, in the form before section 2.1, as TensorFlow has it: ε stands outside the correction.
public struct Adam: Optimizer {
  public var learningRate: LearningRate
  public var beta1: Double
  public var beta2: Double
  public var epsilon: Double
  public var name: String { "Adam" }

  public init(learningRate: LearningRate = 1e-3, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8) {
    self.learningRate = learningRate
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
  }

  public func prepare(_ graph: Graph) -> Step {
    var step = Step()
    let powers = [("beta1_power", beta1), ("beta2_power", beta2)].map { name, beta in
      // In double precision, whatever the variables are: 1 − β₂ᵗ loses digits.
      let value = graph.variable(name, [], .constant(beta), type: .float64, trainable: false)
      if let variable = value.variable { step.nodes.append(variable.assign(value * beta)) }
      return value
    }
    step.scalars["rate"] = learningRate.value(like: powers[0]) * sqrt(1 - powers[1]) / (1 - powers[0])
    return step
  }

  public func update(_ variable: Variable, gradient g: Output, _ step: Step) -> [GraphNode] {
    guard var rate = step.scalars["rate"] else { preconditionFailure("prepare(_:) computes the rate") }
    // Of 16 bits, neither ε nor 1 − β₂ would be left.
    let (type, wide) = (g.elementType, g.elementType.arithmeticType)
    let g = cast(g, to: wide)
    if rate.elementType != wide { rate = cast(rate, to: wide) }
    let first = slot("m", of: variable)
    let second = slot("v", of: variable)
    let m = cast(first.value, to: wide) * beta1 + g * (1 - beta1)
    let s = cast(second.value, to: wide) * beta2 + square(g) * (1 - beta2)
    let value = cast(variable.value, to: wide) - m * rate / (sqrt(s) + epsilon)
    return [
      first.assign(cast(m, to: type)), second.assign(cast(s, to: type)), variable.assign(cast(value, to: type)),
    ]
  }
}
