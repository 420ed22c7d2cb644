import MartletDiagnostics
import MartletGraph

/// s ← s + (1−ρ)·(g²−s); c ← c + (1−ρ)·(g−c); a ← μ·a + η·g/√(s−c²+ε); v ← v − a.
///
/// Graves, 2013.
public struct ResourceApplyCenteredRMSProp: UpdateOperation {
  public init() {}
  public static let schema = Schema(
    "ResourceApplyCenteredRMSProp",
    inputs: [
      "var": "resource", "mg": "resource", "ms": "resource", "mom": "resource", "lr": "T", "rho": "T", "momentum": "T",
      "epsilon": "T", "grad": "T",
    ], outputs: [:], types: ["T": .floating], traits: [])
  public static let variableCount = 4

  public func updated(_ operands: [Output]) -> [Output] {
    let (rate, rho, momentum, epsilon, gradient) = (operands[4], operands[5], operands[6], operands[7], operands[8])
    let mean = operands[1] + (gradient - operands[1]) * (1 - rho)
    let squares = operands[2] + (square(gradient) - operands[2]) * (1 - rho)
    let sum = operands[3] * momentum + gradient * rate / sqrt(squares - square(mean) + epsilon)
    return [operands[0] - sum, mean, squares, sum]
  }
}
