import MartletGraph
import MartletLoopIR
import MartletTensors

private let steps = Differentiation.none("it is constant between its steps")

/// The greatest integer that is not greater than `x`.
public struct Floor: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Floor", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.floor(x[0]) }
  public var differentiation: Differentiation { steps }
}

/// The smallest integer that is not smaller than `x`.
public struct Ceil: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Ceil", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.ceil(x[0]) }
  public var differentiation: Differentiation { steps }
}

/// The nearest integer; of two equally near, the even one.
public struct Round: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Round", types: .signed)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.round(x[0]) }
  public var differentiation: Differentiation { steps }
}

/// As ``Round``, of floating-point values.
public struct Rint: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "Rint", types: .floating)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.round(x[0]) }
  public var differentiation: Differentiation { steps }
}

public func floor(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Floor(), [x], name: name) }
public func ceil(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Ceil(), [x], name: name) }
/// The nearest integer, ties to even.
public func round(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Round(), [x], name: name) }
