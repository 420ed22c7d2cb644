import MartletDiagnostics
import MartletGraph

/// m ← m + (1−β₁)·(g−m); s ← s + (1−β₂)·(g²−s); v ← v − η·√(1−β₂ᵗ)/(1−β₁ᵗ) · m/(√s+ε), or with Nesterov's momentum
/// β₁·m + (1−β₁)·g in the place of m. The powers of β are operands.
///
/// Kingma and Ba, 2015; Dozat, 2016.
public struct ResourceApplyAdam: UpdateOperation {
  /// Whether the gradient is taken ahead of the step. Nesterov, 1983; Sutskever et al., 2013.
  public var isNesterov = false
  public init() {}
  public static let schema = Schema(
    "ResourceApplyAdam",
    inputs: [
      "var": "resource", "m": "resource", "v": "resource", "beta1_power": "T", "beta2_power": "T", "lr": "T",
      "beta1": "T", "beta2": "T", "epsilon": "T", "grad": "T",
    ], outputs: [:], types: ["T": .floating], traits: [])
  public static let attributeTable: AttributeTable<ResourceApplyAdam> = [
    AttributeField("use_nesterov", \.isNesterov)
  ]
  public static let variableCount = 3

  public func updated(_ operands: [Output]) -> [Output] {
    let (powers, rate) = ((operands[3], operands[4]), operands[5])
    let (beta1, beta2, epsilon, gradient) = (operands[6], operands[7], operands[8], operands[9])
    let corrected = rate * sqrt(1 - powers.1) / (1 - powers.0)
    let m = operands[1] + (gradient - operands[1]) * (1 - beta1)
    let s = operands[2] + (square(gradient) - operands[2]) * (1 - beta2)
    let direction = isNesterov ? m * beta1 + gradient * (1 - beta1) : m
    return [operands[0] - direction * corrected / (sqrt(s) + epsilon), m, s]
  }
}
