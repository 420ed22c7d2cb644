import MartletDiagnostics
import MartletGraph

/// a ← a + g²; v ← v − η·g/√a.
///
/// Duchi, Hazan and Singer, 2011.
public struct ResourceApplyAdagrad: UpdateOperation {
  /// Whether the sum of squares is updated.
  public var updatesSlots = true
  public init() {}
  public static let schema = Schema(
    "ResourceApplyAdagrad", inputs: ["var": "resource", "accum": "resource", "lr": "T", "grad": "T"], outputs: [:],
    types: ["T": .floating], traits: [])
  public static let attributeTable: AttributeTable<ResourceApplyAdagrad> = [
    AttributeField("update_slots", \.updatesSlots)
  ]
  public static let variableCount = 2

  public func updated(_ operands: [Output]) -> [Output] {
    let (rate, gradient) = (operands[2], operands[3])
    let sum = updatesSlots ? operands[1] + square(gradient) : operands[1]
    return [operands[0] - gradient * rate / sqrt(sum), sum]
  }
}
