import MartletGraph
import MartletOperations

/// m ← ρ·m + (1−ρ)·g²; p ← μ·p + η·g/√(m+ε); v ← v − p. (Tieleman and Hinton, 2012, as TensorFlow spells it: ε under
/// the root, m starts at 1.)
public struct RMSProp: Optimizer {
  public var learningRate: LearningRate
  public var decay: Double
  public var momentum: Double
  public var epsilon: Double
  public var name: String { "RMSProp" }

  public init(learningRate: LearningRate, decay: Double = 0.9, momentum: Double = 0, epsilon: Double = 1e-10) {
    self.learningRate = learningRate
    self.decay = decay
    self.momentum = momentum
    self.epsilon = epsilon
  }

  public func update(_ variable: Variable, gradient g: Output, _ step: Step) -> [GraphNode] {
    let meanSquare = slot("mean_square", of: variable, .ones)
    let m = meanSquare.value * decay + square(g) * (1 - decay)
    let scaled = g * learningRate.value(like: g) / sqrt(m + epsilon)
    guard momentum != 0 else {
      return [meanSquare.assign(m), variable.assign(variable.value - scaled)]
    }
    let velocity = slot("momentum", of: variable)
    let p = velocity.value * momentum + scaled
    return [meanSquare.assign(m), velocity.assign(p), variable.assign(variable.value - p)]
  }
}
