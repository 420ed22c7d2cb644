import MartletGraph
import MartletLoopIR
import MartletTensors

/// The angle in radians, between −π/2 and π/2, with this sine; NaN for numbers beyond −1 and 1. Its gradient at them is infinite.
public struct Asin: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Asin", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let one = b.constant(1, x[0].type)
    let cosine = b.sqrt(b.multiply(b.subtract(one, x[0]), b.add(one, x[0])))
    return b.atan(b.divide(x[0], cosine))
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { [.dense(g.dy * reciprocalCosine(g.operands[0]))] }
}

/// The angle in radians, between 0 and π, with this cosine; NaN for numbers beyond −1 and 1. Its gradient at them is infinite.
public struct Acos: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Acos", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    // The tangent of half the angle is √((1 − x) / (1 + x)).
    let one = b.constant(1, x[0].type)
    let half = b.atan(b.sqrt(b.divide(b.subtract(one, x[0]), b.add(one, x[0]))))
    return b.add(half, half)
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { [.dense(-g.dy * reciprocalCosine(g.operands[0]))] }
}

/// The angle in radians, between −π/2 and π/2, with this tangent.
public struct Atan: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Atan", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.atan(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.dy * reciprocal(square(g.operands[0]) + 1))]
  }
}

/// The angle in radians, between −π and π, of the point (x, y) as seen from the origin, y being the first operand.
///
/// Zeros and infinities are as in C's `atan2`: the sign of a zero tells the side of an axis.
public struct Atan2: Elementwise {
  public init() {}
  public static let schema = Schema(
    "Atan2", inputs: ["y": "T", "x": "T"], outputs: ["z": "T"], types: ["T": .floating], traits: [.pure, .elementwise])
  public func scalar(_ b: inout ScalarBuilder, _ operands: [Scalar]) -> Scalar {
    let (y, x, type) = (operands[0], operands[1], operands[0].type)
    let (height, width) = (b.absolute(y), b.absolute(x))
    // The quotient of equal magnitudes is 1, also where that division would be ∞ / ∞; 0 / 0 is 0 here.
    let one = b.constant(1, type)
    let zero = b.constant(0, type)
    let equal = b.select(b.less(zero, height), one, zero)
    let angle = b.atan(b.select(b.equal(height, width), equal, b.divide(height, width)))
    // π − angle, with what π lacks in its type.
    let lacking = b.constant(type == .float64 ? 1.2246467991473532e-16 : -8.742278000372485e-08, type)
    let other = b.subtract(b.constant(.pi, type), b.subtract(angle, lacking))
    let isNegative = { (b: inout ScalarBuilder, x: Scalar) in
      b.less(b.select(b.equal(x, zero), b.reciprocal(x), x), zero)
    }
    let magnitude = b.select(isNegative(&b, x), other, angle)
    return b.select(isNegative(&b, y), b.negate(magnitude), magnitude)
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (y, x) = (g.operands[0], g.operands[1])
    let scaled = g.dy / (square(x) + square(y))
    return g.cotangents({ scaled * x }, { -scaled * y })
  }
}

private func reciprocalCosine(_ sine: Output) -> Output { rsqrt((1 - sine) * (1 + sine)) }

/// The angle in radians, between −π/2 and π/2, with this sine.
public func asin(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Asin(), [x], name: name) }
/// The angle in radians, between 0 and π, with this cosine.
public func acos(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Acos(), [x], name: name) }
/// The angle in radians, between −π/2 and π/2, with this tangent.
public func atan(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Atan(), [x], name: name) }
/// The angle in radians, between −π and π, of the point (x, y) as seen from the origin; with broadcasting.
public func atan2(_ y: Output, _ x: Output, name: String? = nil) -> Output {
  y.graph.addOne(Atan2(), [y, x], name: name)
}
