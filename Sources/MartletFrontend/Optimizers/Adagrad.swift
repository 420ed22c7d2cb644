import MartletGraph
import MartletOperations

/// a ← a + g²; v ← v − η·g/√a. (Duchi, Hazan and Singer, 2011.)
public struct Adagrad: Optimizer {
  public var learningRate: LearningRate
  public var initialAccumulator: Double
  public var name: String { "Adagrad" }

  public init(learningRate: LearningRate, initialAccumulator: Double = 0.1) {
    (self.learningRate, self.initialAccumulator) = (learningRate, initialAccumulator)
  }

  public func update(_ variable: Variable, gradient g: Output, _ step: Step) -> [GraphNode] {
    let accumulator = slot("accumulator", of: variable, .constant(initialAccumulator))
    let a = accumulator.value + square(g)
    return [
      accumulator.assign(a),
      variable.assign(variable.value - g * learningRate.value(like: g) / sqrt(a)),
    ]
  }
}
