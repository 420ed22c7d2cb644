import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The gradient of `Gelu` from its operand: `dy` times the derivative at `x`, which is `Φ(x) + x · φ(x)` with the density φ of the
/// normal distribution; or that of the approximation.
public struct GeluGrad: Elementwise, ExportedOperation {
  /// 1 / √(2π).
  private static let densityFactor = 1 / (2 * Double.pi).squareRoot()

  /// Whether it is the form with a hyperbolic tangent.
  public var isApproximate = false
  public init() {}
  public init(approximate: Bool) { isApproximate = approximate }

  public static let schema = Schema(fromFeatures: "_GeluGrad")
  public static let attributeTable: AttributeTable<GeluGrad> = [AttributeField("approximate", \.isApproximate)]

  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let (dy, x, type) = (x[0], x[1], x[1].type)
    let (half, one) = (b.constant(0.5, type), b.constant(1, type))
    let cumulative: Scalar
    let density: Scalar
    if isApproximate {
      let tangent = Gelu.tangent(&b, x)
      cumulative = b.multiply(half, b.add(one, tangent))
      let inner = b.multiply(b.constant(3 * Gelu.cubeFactor, type), b.multiply(x, x))
      let slope = b.multiply(b.constant(0.5 * Gelu.root, type), b.add(one, inner))
      density = b.multiply(b.subtract(one, b.multiply(tangent, tangent)), slope)
    } else {
      cumulative = b.multiply(half, b.add(one, b.erf(b.multiply(x, b.constant(0.5.squareRoot(), type)))))
      let exponential = b.exp(b.multiply(b.constant(-0.5, type), b.multiply(x, x)))
      density = b.multiply(b.constant(Self.densityFactor, type), exponential)
    }
    return b.multiply(dy, b.add(cumulative, b.multiply(x, density)))
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let (dy, x) = (g.operands[0], g.operands[1])
    let found = try g.differentiator.gradients([written(dy, x)], [dy, x], [g.dy])
    return found.map { $0.map { .dense($0) } ?? .none }
  }

  public func exported(_ expansion: Expansion) -> [Output]? { [written(expansion.operands[0], expansion.operands[1])] }

  /// The gradient in operations that TensorFlow has.
  private func written(_ dy: Output, _ x: Output) -> Output {
    guard isApproximate else {
      let cumulative = 0.5 * (1 + erf(x * 0.5.squareRoot()))
      return dy * (cumulative + x * (Self.densityFactor * exp(-0.5 * (x * x))))
    }
    let tangent = Gelu.tangent(x)
    let slope = (0.5 * Gelu.root) * (1 + (3 * Gelu.cubeFactor) * (x * x))
    return dy * (0.5 * (1 + tangent) + x * ((1 - tangent * tangent) * slope))
  }
}
