import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The Gaussian error linear unit `x · Φ(x)`, Φ the distribution function of the normal distribution; or, where it is
/// approximate, `½ · x · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`. Source: D. Hendrycks, K. Gimpel, "Gaussian error linear
/// units", 2016.
///
/// TensorFlow writes it in other operations, and so does a GraphDef; here its gradient stays whole for libraries that know it.
public struct Gelu: Elementwise, ExportedOperation {
  /// √(2/π), and the factor of the cube.
  static let (root, cubeFactor) = ((2 / Double.pi).squareRoot(), 0.044715)

  /// Whether it is the form with a hyperbolic tangent.
  public var isApproximate = false
  public init() {}
  public init(approximate: Bool) { isApproximate = approximate }

  public static let schema = Schema(unary: "_Gelu", types: .floating, input: "features", output: "activations")
  public static let attributeTable: AttributeTable<Gelu> = [AttributeField("approximate", \.isApproximate)]

  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let (x, type) = (x[0], x[0].type)
    let function: Scalar
    if isApproximate {
      function = Self.tangent(&b, x)
    } else {
      function = b.erf(b.multiply(x, b.constant(0.5.squareRoot(), type)))
    }
    let half = b.multiply(x, b.constant(0.5, type))
    return b.multiply(half, b.add(function, b.constant(1, type)))
  }

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.graph.addOne(GeluGrad(approximate: isApproximate), [g.dy, g.operands[0]]))]
  }

  public func exported(_ expansion: Expansion) -> [Output]? {
    let x = expansion.operands[0]
    let function = isApproximate ? Self.tangent(x) : erf(x * 0.5.squareRoot())
    return [0.5 * x * (1 + function)]
  }

  /// `tanh(√(2/π) · (x + 0.044715 x³))`.
  static func tangent(_ b: inout ScalarBuilder, _ x: Scalar) -> Scalar {
    let cube = b.multiply(b.multiply(x, x), x)
    let inner = b.add(x, b.multiply(b.constant(cubeFactor, x.type), cube))
    return b.tanh(b.multiply(b.constant(root, x.type), inner))
  }

  /// The same in operations.
  static func tangent(_ x: Output) -> Output { tanh(root * (x + cubeFactor * (x * x * x))) }
}

/// The Gaussian error linear unit `x · Φ(x)`, Φ the distribution function of the normal distribution.
///
/// - Parameters:
///   - x: floating-point numbers.
///   - approximate: whether Φ is computed with a hyperbolic tangent, which is off by less than 1e-3. Only then cuBLASLt does it
///     behind a matrix product, and its gradient.
///
/// ```swift
/// let hidden = gelu(biasAdd(matMul(x, weights), bias), approximate: true)
/// ```
public func gelu(_ x: Output, approximate: Bool = false, name: String? = nil) -> Output {
  x.graph.addOne(Gelu(approximate: approximate), [x], name: name)
}
