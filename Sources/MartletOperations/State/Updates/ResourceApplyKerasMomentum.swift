import MartletDiagnostics
import MartletGraph

/// a ← μ·a − η·g; v ← v + a, or with Nesterov's momentum v ← v + μ·a − η·g.
public struct ResourceApplyKerasMomentum: UpdateOperation {
  /// Whether the gradient is taken ahead of the step. Nesterov, 1983; Sutskever et al., 2013.
  public var isNesterov = false
  public init() {}
  public static let schema = Schema(
    "ResourceApplyKerasMomentum",
    inputs: ["var": "resource", "accum": "resource", "lr": "T", "grad": "T", "momentum": "T"], outputs: [:],
    types: ["T": .floating], traits: [])
  public static let attributeTable: AttributeTable<ResourceApplyKerasMomentum> = [
    AttributeField("use_nesterov", \.isNesterov)
  ]
  public static let variableCount = 2

  public func updated(_ operands: [Output]) -> [Output] {
    let (rate, gradient, momentum) = (operands[2], operands[3], operands[4])
    let sum = operands[1] * momentum - gradient * rate
    return [operands[0] + (isNesterov ? sum * momentum - gradient * rate : sum), sum]
  }
}
