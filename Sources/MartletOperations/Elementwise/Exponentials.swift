import MartletGraph
import MartletLoopIR
import MartletTensors

/// The exponential function.
public struct Exp: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Exp", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.exp(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { [.dense(g.dy * g.results[0])] }
}

/// `eˣ - 1`, exact near 0.
public struct Expm1: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Expm1", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.expm1(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { [.dense(g.dy * exp(g.operands[0]))] }
}

/// The natural logarithm.
public struct Log: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Log", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.log(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { [.dense(g.dy * reciprocal(g.operands[0]))] }
}

/// `log(1 + x)`, exact near 0.
public struct Log1p: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Log1p", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.log1p(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { [.dense(g.dy * reciprocal(g.operands[0] + 1))] }
}

public func exp(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Exp(), [x], name: name) }
/// `eˣ - 1`.
public func expm1(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Expm1(), [x], name: name) }
/// The natural logarithm.
public func log(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Log(), [x], name: name) }
/// `log(1 + x)`.
public func log1p(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Log1p(), [x], name: name) }
