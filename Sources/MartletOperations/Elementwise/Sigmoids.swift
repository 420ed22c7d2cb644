import MartletGraph
import MartletLoopIR
import MartletTensors

/// The hyperbolic tangent.
public struct Tanh: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Tanh", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.tanh(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.graph.addOne(TanhGrad(), [g.results[0], g.dy]))]
  }
}

/// The gradient of the hyperbolic tangent from its result `y`: `dy · (1 - y²)`.
public struct TanhGrad: Elementwise {
  public init() {}
  public static let schema = Schema(fromResult: "TanhGrad")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    b.multiply(x[1], b.subtract(b.constant(1, x[0].type), b.multiply(x[0], x[0])))
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (y, dy, up) = (g.operands[0], g.operands[1], g.dy)
    return g.cotangents({ up * -2 * dy * y }, { up.graph.addOne(TanhGrad(), [y, up]) })
  }
}

/// The logistic function `1 / (1 + e⁻ˣ)`.
public struct Sigmoid: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Sigmoid", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.sigmoid(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.graph.addOne(SigmoidGrad(), [g.results[0], g.dy]))]
  }
}

/// The gradient of the logistic function from its result `y`: `dy · y · (1 - y)`.
public struct SigmoidGrad: Elementwise {
  public init() {}
  public static let schema = Schema(fromResult: "SigmoidGrad")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    b.multiply(b.multiply(x[1], x[0]), b.subtract(b.constant(1, x[0].type), x[0]))
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (y, dy, up) = (g.operands[0], g.operands[1], g.dy)
    return g.cotangents({ up * dy * (1 - y * 2) }, { up.graph.addOne(SigmoidGrad(), [y, up]) })
  }
}

/// The Gauss error function.
public struct Erf: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Erf", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.erf(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    // 2 / √π
    [.dense(g.dy * (exp(-square(g.operands[0])) * 1.128_379_167_095_512_6))]
  }
}

/// `log(1 + eˣ)`, without overflow.
public struct Softplus: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Softplus", types: .floating, input: "features", output: "activations")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let zero = b.constant(0, x[0].type)
    let tail = b.log1p(b.exp(b.negate(b.absolute(x[0]))))
    return b.add(b.maximum(x[0], zero), tail)
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.graph.addOne(SoftplusGrad(), [g.dy, g.operands[0]]))]
  }
}

/// The gradient of `Softplus` from its operand: `dy / (1 + e⁻ˣ)`.
public struct SoftplusGrad: Elementwise {
  public init() {}
  public static let schema = Schema(fromFeatures: "SoftplusGrad")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.multiply(x[0], b.sigmoid(x[1])) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (dy, x, up) = (g.operands[0], g.operands[1], g.dy)
    return g.cotangents(
      { up.graph.addOne(SoftplusGrad(), [up, x]) },
      {
        let s = sigmoid(x)
        return up * dy * s * (1 - s)
      })
  }
}

/// `x / (1 + |x|)`.
public struct Softsign: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Softsign", types: .floating, input: "features", output: "activations")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    b.divide(x[0], b.add(b.constant(1, x[0].type), b.absolute(x[0])))
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.graph.addOne(SoftsignGrad(), [g.dy, g.operands[0]]))]
  }
}

/// The gradient of `Softsign` from its operand: `dy / (1 + |x|)²`.
public struct SoftsignGrad: Elementwise {
  public init() {}
  public static let schema = Schema(fromFeatures: "SoftsignGrad")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let root = b.add(b.constant(1, x[1].type), b.absolute(x[1]))
    return b.divide(x[0], b.multiply(root, root))
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (dy, x, up) = (g.operands[0], g.operands[1], g.dy)
    return g.cotangents(
      { up.graph.addOne(SoftsignGrad(), [up, x]) },
      {
        let root = abs(x) + 1
        return up * dy * -2 * sign(x) / (root * root * root)
      })
  }
}

extension Schema {
  /// A gradient operation that works from the operand of what it differentiates, as TensorFlow names them.
  init(fromFeatures name: String) {
    self.init(
      name, inputs: ["gradients": "T", "features": "T"], outputs: ["backprops": "T"], types: ["T": .floating],
      traits: [.pure, .elementwise])
  }
  /// A gradient operation that works from the result of what it differentiates, as TensorFlow names them.
  init(fromOutputs name: String) {
    self.init(
      name, inputs: ["gradients": "T", "outputs": "T"], outputs: ["backprops": "T"], types: ["T": .floating],
      traits: [.pure, .elementwise])
  }
}

public func tanh(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Tanh(), [x], name: name) }
/// `1 / (1 + e⁻ˣ)`.
public func sigmoid(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Sigmoid(), [x], name: name) }
/// The Gauss error function.
public func erf(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Erf(), [x], name: name) }
/// `log(1 + eˣ)`.
public func softplus(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Softplus(), [x], name: name) }
/// `x / (1 + |x|)`.
public func softsign(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Softsign(), [x], name: name) }
