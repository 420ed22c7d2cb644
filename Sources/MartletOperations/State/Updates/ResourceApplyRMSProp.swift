import MartletDiagnostics
import MartletGraph

/// s ← s + (1−ρ)·(g²−s); a ← μ·a + η·g/√(s+ε); v ← v − a.
///
/// Tieleman and Hinton, 2012.
public struct ResourceApplyRMSProp: UpdateOperation {
  public init() {}
  public static let schema = Schema(
    "ResourceApplyRMSProp",
    inputs: [
      "var": "resource", "ms": "resource", "mom": "resource", "lr": "T", "rho": "T", "momentum": "T", "epsilon": "T",
      "grad": "T",
    ], outputs: [:], types: ["T": .floating], traits: [])
  public static let variableCount = 3

  public func updated(_ operands: [Output]) -> [Output] {
    let (rate, rho, momentum, epsilon, gradient) = (operands[3], operands[4], operands[5], operands[6], operands[7])
    let squares = operands[1] + (square(gradient) - operands[1]) * (1 - rho)
    let sum = operands[2] * momentum + gradient * rate / sqrt(squares + epsilon)
    return [operands[0] - sum, squares, sum]
  }
}
