import MartletGraph
import MartletLoopIR
import MartletTensors

/// The product `x · ln(y)`, and 0 where `x` is 0, whatever `y` is. Where `x` is 0, it gets no gradient.
public struct Xlogy: Elementwise {
  public init() {}
  public static let schema = Schema(binary: "Xlogy", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    zeroWhereZero(&b, x[0]) { b in b.multiply(x[0], b.log(x[1])) }
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (x, y, dy) = (g.operands[0], g.operands[1], g.dy)
    return g.cotangents({ dy * xlogy(oneWhereNotZero(x), y) }, { dy * xdivy(x, y) })
  }
}

/// The product `x · ln(1 + y)`, and 0 where `x` is 0, whatever `y` is. Where `x` is 0, it gets no gradient.
public struct Xlog1py: Elementwise {
  public init() {}
  public static let schema = Schema(binary: "Xlog1py", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    zeroWhereZero(&b, x[0]) { b in b.multiply(x[0], b.log1p(x[1])) }
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (x, y, dy) = (g.operands[0], g.operands[1], g.dy)
    return g.cotangents({ dy * xlog1py(oneWhereNotZero(x), y) }, { dy * xdivy(x, y + 1) })
  }
}

/// The quotient `x / y`, and 0 where `x` is 0, whatever `y` is. Where `x` is 0, it gets no gradient.
public struct Xdivy: Elementwise {
  public init() {}
  public static let schema = Schema(binary: "Xdivy", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    zeroWhereZero(&b, x[0]) { b in b.divide(x[0], x[1]) }
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (x, y, dy) = (g.operands[0], g.operands[1], g.dy)
    return g.cotangents({ dy * xdivy(oneWhereNotZero(x), y) }, { dy * xdivy(-x, square(y)) })
  }
}

private func zeroWhereZero(
  _ b: inout ScalarBuilder, _ x: Scalar, _ body: (inout ScalarBuilder) -> Scalar
) -> Scalar {
  b.select(b.equal(x, b.constant(0, x.type)), x, body(&b))
}

private func oneWhereNotZero(_ x: Output) -> Output { cast(x .!= 0, to: x.elementType) }

/// `x · ln(y)`, and 0 where `x` is 0.
public func xlogy(_ x: Output, _ y: Output, name: String? = nil) -> Output {
  x.graph.addOne(Xlogy(), [x, y], name: name)
}
/// `x · ln(1 + y)`, and 0 where `x` is 0.
public func xlog1py(_ x: Output, _ y: Output, name: String? = nil) -> Output {
  x.graph.addOne(Xlog1py(), [x, y], name: name)
}
/// `x / y`, and 0 where `x` is 0.
public func xdivy(_ x: Output, _ y: Output, name: String? = nil) -> Output {
  x.graph.addOne(Xdivy(), [x, y], name: name)
}
