import MartletDiagnostics
import MartletGraph

/// v ← v − α · δ.
public struct ResourceApplyGradientDescent: UpdateOperation {
  public init() {}
  public static let schema = Schema(
    "ResourceApplyGradientDescent", inputs: ["var": "resource", "alpha": "T", "delta": "T"], outputs: [:],
    types: ["T": .floating], traits: [])
  public static let variableCount = 1

  public func updated(_ operands: [Output]) -> [Output] {
    [operands[0] - operands[1] * operands[2]]
  }
}
