import MartletGraph
import MartletLoopIR
import MartletTensors

/// The quotient `x / y` of floating-point values.
public struct RealDiv: Elementwise {
  public init() {}
  public static let schema = Schema(binary: "RealDiv", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.divide(x[0], x[1]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (x, y, dy) = (g.operands[0], g.operands[1], g.dy)
    return g.cotangents({ dy / y }, { dy * (-x / y / y) })
  }
}

/// The quotient under the name that older graphs use; of integers it is truncated towards zero.
public struct Div: Elementwise {
  public init() {}
  public static let schema = Schema(binary: "Div", types: .numeric)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.divide(x[0], x[1]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { RealDiv().gradient(&g) }
}

/// The quotient rounded towards negative infinity. Division of integers by zero gives 0.
public struct FloorDiv: Elementwise {
  public init() {}
  public static let schema = Schema(binary: "FloorDiv", types: .numeric)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.floorDivide(x[0], x[1]) }
  public func known(_ x: [Dimension]) -> Dimension? { x[1].known == 0 ? nil : x[0].floorDivided(by: x[1]) }
  public var differentiation: Differentiation { .none("it is constant between its steps") }
}

/// The remainder of ``FloorDiv``; it has the divisor's sign.
public struct FloorMod: Elementwise {
  public init() {}
  public static let schema = Schema(binary: "FloorMod", types: .numeric)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.floorModulo(x[0], x[1]) }
  public func known(_ x: [Dimension]) -> Dimension? { x[1].known == 0 ? nil : x[0].modulo(x[1]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (x, y, dy) = (g.operands[0], g.operands[1], g.dy)
    return g.cotangents({ dy }, { -(dy * floorDivide(x, y)) })
  }
}

/// The quotient `x / y`, and 0 where `y` is 0, whatever `x` is.
public struct DivNoNan: Elementwise {
  public init() {}
  public static let schema = Schema(binary: "DivNoNan", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let zero = b.constant(0, x[1].type)
    return b.select(b.equal(x[1], zero), zero, b.divide(x[0], x[1]))
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (x, y, dy) = (g.operands[0], g.operands[1], g.dy)
    return g.cotangents({ divideNoNaN(dy, y) }, { dy * divideNoNaN(divideNoNaN(-x, y), y) })
  }
}

/// The reciprocal `1 / x`.
public struct Reciprocal: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Reciprocal", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.reciprocal(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.graph.addOne(ReciprocalGrad(), [g.results[0], g.dy]))]
  }
}

/// `Reciprocal` under the name that older graphs use.
public struct Inv: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Inv", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.reciprocal(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { Reciprocal().gradient(&g) }
}

/// The gradient of the reciprocal from its result `y`: `-dy · y²`.
public struct ReciprocalGrad: Elementwise {
  public init() {}
  public static let schema = Schema(fromResult: "ReciprocalGrad")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    b.multiply(b.negate(x[1]), b.multiply(x[0], x[0]))
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (y, dy, up) = (g.operands[0], g.operands[1], g.dy)
    return g.cotangents({ up * -2 * dy * y }, { up.graph.addOne(ReciprocalGrad(), [y, up]) })
  }
}

/// `ReciprocalGrad` under the name that older graphs use.
public struct InvGrad: Elementwise {
  public init() {}
  public static let schema = Schema(fromResult: "InvGrad")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { ReciprocalGrad().scalar(&b, x) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { ReciprocalGrad().gradient(&g) }
}

extension Schema {
  /// A gradient operation that works from the result `y` of what it differentiates, as TensorFlow names them.
  init(fromResult name: String) {
    self.init(
      name, inputs: ["y": "T", "dy": "T"], outputs: ["z": "T"], types: ["T": .floating], traits: [.pure, .elementwise])
  }
}

/// `⌊x / y⌋`.
public func floorDivide(_ x: Output, _ y: Output, name: String? = nil) -> Output {
  x.graph.addOne(FloorDiv(), [x, y], name: name)
}
/// `x - ⌊x / y⌋ · y`.
public func floorModulo(_ x: Output, _ y: Output, name: String? = nil) -> Output {
  x.graph.addOne(FloorMod(), [x, y], name: name)
}
/// `x / y`, and 0 where `y` is 0.
public func divideNoNaN(_ x: Output, _ y: Output, name: String? = nil) -> Output {
  x.graph.addOne(DivNoNan(), [x, y], name: name)
}
/// `1 / x`.
public func reciprocal(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Reciprocal(), [x], name: name) }
