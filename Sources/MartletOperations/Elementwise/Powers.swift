import MartletGraph
import MartletLoopIR
import MartletTensors

/// The square root; NaN for negative numbers. Its gradient at 0 is infinite.
public struct Sqrt: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Sqrt", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.sqrt(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.graph.addOne(SqrtGrad(), [g.results[0], g.dy]))]
  }
}

/// The gradient of the square root from its result `y`: `dy / 2 / y`.
public struct SqrtGrad: Elementwise {
  public init() {}
  public static let schema = Schema(fromResult: "SqrtGrad")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    b.divide(b.multiply(b.constant(0.5, x[1].type), x[1]), x[0])
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (y, dy, up) = (g.operands[0], g.operands[1], g.dy)
    let quotient = up / y
    return g.cotangents({ -quotient * (dy * 0.5 / y) }, { quotient * 0.5 })
  }
}

/// The reciprocal of the square root.
public struct Rsqrt: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Rsqrt", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.rsqrt(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.graph.addOne(RsqrtGrad(), [g.results[0], g.dy]))]
  }
}

/// The gradient of the reciprocal square root from its result `y`: `-dy / 2 · y³`.
public struct RsqrtGrad: Elementwise {
  public init() {}
  public static let schema = Schema(fromResult: "RsqrtGrad")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let half = b.constant(-0.5, x[1].type)
    return b.multiply(b.multiply(half, x[1]), b.multiply(b.multiply(x[0], x[0]), x[0]))
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (y, dy, up) = (g.operands[0], g.operands[1], g.dy)
    return g.cotangents({ up * -1.5 * dy * square(y) }, { up.graph.addOne(RsqrtGrad(), [y, up]) })
  }
}

/// The power `xʸ`. Integers wrap.
///
/// The gradient with respect to `y` is 0 where `x` is not positive; that with respect to `x` is `y · xʸ⁻¹` everywhere,
/// so NaN at 0⁰, as TensorFlow has them.
public struct Pow: Elementwise {
  public init() {}
  public static let schema = Schema(binary: "Pow", types: .signed)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.power(x[0], x[1]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (x, y, z, dy) = (g.operands[0], g.operands[1], g.results[0], g.dy)
    return g.cotangents(
      { dy * y * pow(x, y - 1) },
      {
        let isPositive = x .> 0
        return dy * z * select(isPositive, log(select(isPositive, x, x.scalar(1))), x.scalar(0))
      })
  }
}

public func sqrt(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Sqrt(), [x], name: name) }
/// `1 / √x`.
public func rsqrt(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Rsqrt(), [x], name: name) }
/// `xʸ`.
public func pow(_ x: Output, _ y: Output, name: String? = nil) -> Output { x.graph.addOne(Pow(), [x, y], name: name) }
/// `xʸ` for a number `y`.
public func pow(_ x: Output, _ y: Double, name: String? = nil) -> Output { pow(x, x.scalar(y), name: name) }
