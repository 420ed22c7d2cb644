import MartletDiagnostics
import MartletGraph

/// a ← μ·a + g; v ← v − η·a, or with Nesterov's momentum v ← v − η·(g + μ·a).
public struct ResourceApplyMomentum: UpdateOperation {
  /// Whether the gradient is taken ahead of the step. Nesterov, 1983; Sutskever et al., 2013.
  public var isNesterov = false
  public init() {}
  public static let schema = Schema(
    "ResourceApplyMomentum", inputs: ["var": "resource", "accum": "resource", "lr": "T", "grad": "T", "momentum": "T"],
    outputs: [:], types: ["T": .floating], traits: [])
  public static let attributeTable: AttributeTable<ResourceApplyMomentum> = [
    AttributeField("use_nesterov", \.isNesterov)
  ]
  public static let variableCount = 2

  public func updated(_ operands: [Output]) -> [Output] {
    let (rate, gradient, momentum) = (operands[2], operands[3], operands[4])
    let sum = operands[1] * momentum + gradient
    let step = isNesterov ? gradient * rate + sum * momentum * rate : sum * rate
    return [operands[0] - step, sum]
  }
}
