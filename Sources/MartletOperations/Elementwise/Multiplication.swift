import MartletGraph
import MartletLoopIR
import MartletTensors

/// The product `x · y`.
public struct Mul: Elementwise {
  public init() {}
  public static let schema = Schema(binary: "Mul", types: .numeric, commutative: true)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.multiply(x[0], x[1]) }
  public func known(_ x: [Dimension]) -> Dimension? { x[0] * x[1] }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (x, y, dy) = (g.operands[0], g.operands[1], g.dy)
    return g.cotangents({ dy * y }, { dy * x })
  }
}

/// The square `x · x`.
public struct Square: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Square", types: .numeric)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.multiply(x[0], x[0]) }
  public func known(_ x: [Dimension]) -> Dimension? { x[0] * x[0] }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { [.dense(g.dy * (g.operands[0] * 2))] }
}

/// The square of the difference, `(x - y)²`.
public struct SquaredDifference: Elementwise {
  public init() {}
  public static let schema = Schema(binary: "SquaredDifference", types: .numeric, commutative: true)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    let difference = b.subtract(x[0], x[1])
    return b.multiply(difference, difference)
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let slope = g.dy * 2 * (g.operands[0] - g.operands[1])
    return g.cotangents({ slope }, { -slope })
  }
}

public func square(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Square(), [x], name: name) }

/// `(x - y)²`.
public func squaredDifference(_ x: Output, _ y: Output, name: String? = nil) -> Output {
  x.graph.addOne(SquaredDifference(), [x, y], name: name)
}
