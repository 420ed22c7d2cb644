import MartletGraph
import MartletLoopIR
import MartletTensors

/// The hyperbolic sine.
public struct Sinh: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Sinh", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    // With e = exp(|x|) − 1 it is (e + e / (e + 1)) / 2. Zero stands for itself, for its sign, and NaN too.
    let (zero, one, half) = (b.constant(0, x[0].type), b.constant(1, x[0].type), b.constant(0.5, x[0].type))
    let a = b.absolute(x[0])
    let e = b.expm1(a)
    let inner = b.multiply(half, b.add(e, b.divide(e, b.add(e, one))))
    let magnitude = b.select(b.less(a, b.constant(30, a.type)), inner, halfExponential(&b, a))
    let signed = b.select(b.less(x[0], zero), b.negate(magnitude), magnitude)
    return b.select(b.less(zero, a), signed, x[0])
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { [.dense(g.dy * cosh(g.operands[0]))] }
}

/// The hyperbolic cosine.
public struct Cosh: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Cosh", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let half = b.constant(0.5, x[0].type)
    let a = b.absolute(x[0])
    let e = b.exp(a)
    let inner = b.multiply(half, b.add(e, b.reciprocal(e)))
    return b.select(b.less(a, b.constant(30, a.type)), inner, halfExponential(&b, a))
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { [.dense(g.dy * sinh(g.operands[0]))] }
}

/// eˣ / 2 for a great x, in two factors, as eˣ may overflow where its half does not.
private func halfExponential(_ b: inout ScalarBuilder, _ x: Scalar) -> Scalar {
  let half = b.constant(0.5, x.type)
  let root = b.exp(b.multiply(half, x))
  return b.multiply(b.multiply(half, root), root)
}

/// The inverse hyperbolic sine.
public struct Asinh: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Asinh", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    // For a = |x| it is ln(1 + a + a / (1/a + √(1/a² + 1))). Zero stands for itself, for its sign, and NaN too.
    let zero = b.constant(0, x[0].type)
    let one = b.constant(1, x[0].type)
    let a = b.absolute(x[0])
    let inverse = b.reciprocal(a)
    let root = b.sqrt(b.add(b.multiply(inverse, inverse), one))
    let magnitude = logarithmOfNext(&b, a, plus: b.divide(a, b.add(inverse, root)))
    let signed = b.select(b.less(x[0], zero), b.negate(magnitude), magnitude)
    return b.select(b.less(zero, a), signed, x[0])
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.dy * rsqrt(square(g.operands[0]) + 1))]
  }
}

/// The inverse hyperbolic cosine, which is not negative; NaN for numbers less than 1. Its gradient at 1 is infinite.
public struct Acosh: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Acosh", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    // For t = x - 1 it is ln(1 + t + √t √(t + 2)).
    let t = b.subtract(x[0], b.constant(1, x[0].type))
    let root = b.multiply(b.sqrt(t), b.sqrt(b.add(t, b.constant(2, x[0].type))))
    return logarithmOfNext(&b, t, plus: root)
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.dy * (rsqrt(g.operands[0] - 1) * rsqrt(g.operands[0] + 1)))]
  }
}

/// The inverse hyperbolic tangent; infinite at 1 and -1, NaN beyond.
public struct Atanh: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Atanh", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let difference = b.subtract(b.log1p(x[0]), b.log1p(b.negate(x[0])))
    return b.multiply(b.constant(0.5, x[0].type), difference)
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.dy * reciprocal((1 - g.operands[0]) * (1 + g.operands[0])))]
  }
}

/// `ln(1 + x + y)` for a `y` that is about `x` where `x` is large, so that the sum may overflow: there it is `ln(x) + ln 2`.
private func logarithmOfNext(_ b: inout ScalarBuilder, _ x: Scalar, plus y: Scalar) -> Scalar {
  let isLarge = b.greater(x, b.constant(0x1p60, x.type))
  let logarithm = b.log1p(b.select(isLarge, x, b.add(x, y)))
  return b.select(isLarge, b.add(logarithm, b.constant(0.693147180559945309, x.type)), logarithm)
}

/// The hyperbolic sine.
public func sinh(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Sinh(), [x], name: name) }
/// The hyperbolic cosine.
public func cosh(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Cosh(), [x], name: name) }
/// The inverse hyperbolic sine.
public func asinh(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Asinh(), [x], name: name) }
/// The inverse hyperbolic cosine.
public func acosh(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Acosh(), [x], name: name) }
/// The inverse hyperbolic tangent.
public func atanh(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Atanh(), [x], name: name) }
