import MartletGraph
import MartletLoopIR
import MartletTensors

/// The negative `-x`.
public struct Neg: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Neg", types: .signed)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.negate(x[0]) }
  public func known(_ x: [Dimension]) -> Dimension? { -x[0] }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { [.dense(-g.dy)] }
}

/// The absolute value. Its gradient at 0 is 0.
public struct Abs: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Abs", types: .signed)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.absolute(x[0]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { [.dense(g.dy * sign(g.operands[0]))] }
}

/// −1, 0 or 1; NaN for NaN.
public struct Sign: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Sign", types: .signed)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.sign(x[0]) }
  public var differentiation: Differentiation { .none("it is constant between its steps") }
}

public func abs(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Abs(), [x], name: name) }
public func sign(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Sign(), [x], name: name) }
