import MartletDiagnostics
import MartletGraph

/// a ← ρ·a + (1−ρ)·g²; u = g·√(b+ε)/√(a+ε); b ← ρ·b + (1−ρ)·u²; v ← v − η·u.
///
/// Zeiler, 2012.
public struct ResourceApplyAdadelta: UpdateOperation {
  public init() {}
  public static let schema = Schema(
    "ResourceApplyAdadelta",
    inputs: [
      "var": "resource", "accum": "resource", "accum_update": "resource", "lr": "T", "rho": "T", "epsilon": "T",
      "grad": "T",
    ], outputs: [:], types: ["T": .floating], traits: [])
  public static let variableCount = 3

  public func updated(_ operands: [Output]) -> [Output] {
    let (rate, rho, epsilon, gradient) = (operands[3], operands[4], operands[5], operands[6])
    let sum = operands[1] * rho + square(gradient) * (1 - rho)
    let update = sqrt(operands[2] + epsilon) * rsqrt(sum + epsilon) * gradient
    return [operands[0] - update * rate, sum, operands[2] * rho + square(update) * (1 - rho)]
  }
}
