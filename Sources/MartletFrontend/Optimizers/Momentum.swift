import MartletGraph
import MartletOperations

/// a ← μ·a + g; v ← v − η·a, or with Nesterov's look ahead v ← v − η·(g + μ·a).
public struct Momentum: Optimizer {
  public var learningRate: LearningRate
  public var momentum: Double
  public var isNesterov: Bool
  public var name: String { "Momentum" }

  public init(learningRate: LearningRate, momentum: Double = 0.9, nesterov: Bool = false) {
    self.learningRate = learningRate
    self.momentum = momentum
    isNesterov = nesterov
  }

  public func update(_ variable: Variable, gradient g: Output, _ step: Step) -> [GraphNode] {
    let accumulator = slot("accumulator", of: variable)
    let a = accumulator.value * momentum + g
    let direction = isNesterov ? g + a * momentum : a
    return [
      accumulator.assign(a),
      variable.assign(variable.value - direction * learningRate.value(like: g)),
    ]
  }
}
