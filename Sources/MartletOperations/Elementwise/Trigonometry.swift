import MartletGraph
import MartletLoopIR
import MartletTensors

/// The sine of an angle in radians.
public struct Sin: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Sin", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.sin(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { [.dense(g.dy * cos(g.operands[0]))] }
}

/// The cosine of an angle in radians.
public struct Cos: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Cos", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.cos(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { [.dense(-g.dy * sin(g.operands[0]))] }
}

/// The tangent of an angle in radians.
public struct Tan: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Tan", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.tan(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.dense(g.dy * square(reciprocal(cos(g.operands[0]))))]
  }
}

public func sin(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Sin(), [x], name: name) }
public func cos(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Cos(), [x], name: name) }
public func tan(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Tan(), [x], name: name) }
