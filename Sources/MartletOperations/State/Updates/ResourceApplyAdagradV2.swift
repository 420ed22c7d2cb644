import MartletDiagnostics
import MartletGraph

/// a ← a + g²; v ← v − η·g/(√a+ε).
public struct ResourceApplyAdagradV2: UpdateOperation {
  /// Whether the sum of squares is updated.
  public var updatesSlots = true
  public init() {}
  public static let schema = Schema(
    "ResourceApplyAdagradV2", inputs: ["var": "resource", "accum": "resource", "lr": "T", "epsilon": "T", "grad": "T"],
    outputs: [:], types: ["T": .floating], traits: [])
  public static let attributeTable: AttributeTable<ResourceApplyAdagradV2> = [
    AttributeField("update_slots", \.updatesSlots)
  ]
  public static let variableCount = 2

  public func updated(_ operands: [Output]) -> [Output] {
    let (rate, epsilon, gradient) = (operands[2], operands[3], operands[4])
    let sum = updatesSlots ? operands[1] + square(gradient) : operands[1]
    return [operands[0] - gradient * rate / (sqrt(sum) + epsilon), sum]
  }
}
