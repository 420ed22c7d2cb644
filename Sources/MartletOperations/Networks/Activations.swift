import MartletGraph
import MartletLoopIR
import MartletTensors

/// `max(x, 0)`. Its gradient at 0 is 0.
public struct Relu: Elementwise {
  public init() {}
  public static let schema = Schema(activation: "Relu", types: .numeric)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.maximum(x[0], b.constant(0, x[0].type)) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.graph.addOne(ReluGrad(), [g.dy, g.results[0]]))]
  }
}

/// The gradient of `Relu` from its operand or result: `dy` where that is greater than 0, else 0.
public struct ReluGrad: Elementwise {
  public init() {}
  public static let schema = Schema(fromFeatures: "ReluGrad")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let zero = b.constant(0, x[0].type)
    return b.select(b.greater(x[1], zero), x[0], zero)
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (x, up) = (g.operands[1], g.dy)
    return g.cotangents({ up.graph.addOne(ReluGrad(), [up, x]) }, nil)
  }
}

/// `min(max(x, 0), 6)`. Its gradient at 0 and 6 is 0.
public struct Relu6: Elementwise {
  public init() {}
  public static let schema = Schema(activation: "Relu6", types: .numeric)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    b.minimum(b.maximum(x[0], b.constant(0, x[0].type)), b.constant(6, x[0].type))
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.graph.addOne(Relu6Grad(), [g.dy, g.results[0]]))]
  }
}

/// The gradient of `Relu6` from its operand or result: `dy` where that lies between 0 and 6, else 0.
public struct Relu6Grad: Elementwise {
  public init() {}
  public static let schema = Schema(fromFeatures: "Relu6Grad")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let zero = b.constant(0, x[0].type)
    let isInside = b.and(b.greater(x[1], zero), b.less(x[1], b.constant(6, x[1].type)))
    return b.select(isInside, x[0], zero)
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (x, up) = (g.operands[1], g.dy)
    return g.cotangents({ up.graph.addOne(Relu6Grad(), [up, x]) }, nil)
  }
}

/// `x` where it is greater than 0, else `alpha · x`.
public struct LeakyRelu: Elementwise {
  public var alpha: Float = 0.2
  public init() {}
  public init(alpha: Float) { self.alpha = alpha }
  public static let schema = Schema(activation: "LeakyRelu", types: .floating)
  public static let attributeTable: AttributeTable<LeakyRelu> = [AttributeField("alpha", \.alpha)]
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let type = x[0].type
    let scaled = b.multiply(b.constant(Double(alpha), type), x[0])
    return b.select(b.greater(x[0], b.constant(0, type)), x[0], scaled)
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.graph.addOne(LeakyReluGrad(alpha: alpha), [g.dy, g.operands[0]]))]
  }
}

/// The gradient of `LeakyRelu` from its operand: `dy` where that is greater than 0, else `alpha · dy`.
public struct LeakyReluGrad: Elementwise {
  public var alpha: Float = 0.2
  public init() {}
  public init(alpha: Float) { self.alpha = alpha }
  public static let schema = Schema(fromFeatures: "LeakyReluGrad")
  public static let attributeTable: AttributeTable<LeakyReluGrad> = [AttributeField("alpha", \.alpha)]
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let type = x[0].type
    let scaled = b.multiply(b.constant(Double(alpha), type), x[0])
    return b.select(b.greater(x[1], b.constant(0, type)), x[0], scaled)
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (x, up, alpha) = (g.operands[1], g.dy, alpha)
    return g.cotangents({ up.graph.addOne(LeakyReluGrad(alpha: alpha), [up, x]) }, nil)
  }
}

/// `x` where it is not negative, else `eˣ - 1`.
public struct Elu: Elementwise {
  public init() {}
  public static let schema = Schema(activation: "Elu", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    b.select(b.less(x[0], b.constant(0, x[0].type)), b.expm1(x[0]), x[0])
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.graph.addOne(EluGrad(), [g.dy, g.results[0]]))]
  }
}

/// The gradient of `Elu` from its result: `dy · (y + 1)` where that is negative, else `dy`.
public struct EluGrad: Elementwise {
  public init() {}
  public static let schema = Schema(fromOutputs: "EluGrad")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let type = x[0].type
    let slope = b.add(x[1], b.constant(1, type))
    return b.select(b.less(x[1], b.constant(0, type)), b.multiply(x[0], slope), x[0])
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (dy, y, up) = (g.operands[0], g.operands[1], g.dy)
    return g.cotangents(
      { up.graph.addOne(EluGrad(), [up, y]) }, { select(y .< 0, up * dy, up.scalar(0)) })
  }
}

/// The scaled exponential linear unit: `scale · x` where `x` is not negative, else `scale · alpha · (eˣ - 1)`, with the
/// two constants of "Self-Normalizing Neural Networks" (Klambauer et al., 2017).
public struct Selu: Elementwise {
  static let scale = 1.050_700_987_355_480_493_419_334_985_294_6
  static let scaleAlpha = 1.758_099_340_847_376_859_940_217_520_812

  public init() {}
  public static let schema = Schema(activation: "Selu", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let type = x[0].type
    let negative = b.multiply(b.constant(Self.scaleAlpha, type), b.expm1(x[0]))
    let positive = b.multiply(b.constant(Self.scale, type), x[0])
    return b.select(b.less(x[0], b.constant(0, type)), negative, positive)
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.graph.addOne(SeluGrad(), [g.dy, g.results[0]]))]
  }
}

/// The gradient of `Selu` from its result: `dy · (y + scale · alpha)` where that is negative, else `scale · dy`.
public struct SeluGrad: Elementwise {
  public init() {}
  public static let schema = Schema(fromOutputs: "SeluGrad")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let type = x[0].type
    let negative = b.multiply(x[0], b.add(x[1], b.constant(Selu.scaleAlpha, type)))
    let positive = b.multiply(b.constant(Selu.scale, type), x[0])
    return b.select(b.less(x[1], b.constant(0, type)), negative, positive)
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (dy, y, up) = (g.operands[0], g.operands[1], g.dy)
    return g.cotangents(
      { up.graph.addOne(SeluGrad(), [up, y]) }, { select(y .< 0, up * dy, up.scalar(0)) })
  }
}

extension Schema {
  fileprivate init(activation name: String, types: TypeSet) {
    self.init(unary: name, types: types, input: "features", output: "activations")
  }
}

/// `max(x, 0)`.
public func relu(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Relu(), [x], name: name) }
/// `min(max(x, 0), 6)`.
public func relu6(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Relu6(), [x], name: name) }
/// `x` where it is greater than 0, else `alpha · x`.
public func leakyRelu(_ x: Output, alpha: Float = 0.2, name: String? = nil) -> Output {
  x.graph.addOne(LeakyRelu(alpha: alpha), [x], name: name)
}
/// `x` where it is not negative, else `eˣ - 1`.
public func elu(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Elu(), [x], name: name) }
/// The scaled exponential linear unit.
public func selu(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Selu(), [x], name: name) }
