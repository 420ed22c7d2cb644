import MartletGraph
import MartletLoopIR
import MartletTensors

extension Schema {
  fileprivate init(test name: String) {
    self.init(
      name, inputs: ["x": "T"], outputs: ["y": "bool"], types: ["T": .floating], traits: [.pure, .elementwise])
  }
}

private let truth = Differentiation.none("its result is a Boolean")

/// Whether `x` is NaN.
public struct IsNan: Elementwise {
  public init() {}
  public static let schema = Schema(test: "IsNan")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.isNaN(x[0]) }
  public var differentiation: Differentiation { truth }
}

/// Whether `x` is infinite, of either sign.
public struct IsInf: Elementwise {
  public init() {}
  public static let schema = Schema(test: "IsInf")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.isInfinite(x[0]) }
  public var differentiation: Differentiation { truth }
}

/// Whether `x` is neither infinite nor NaN.
public struct IsFinite: Elementwise {
  public init() {}
  public static let schema = Schema(test: "IsFinite")
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.isFinite(x[0]) }
  public var differentiation: Differentiation { truth }
}

/// Whether each element is NaN.
public func isNaN(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(IsNan(), [x], name: name) }
/// Whether each element is infinite.
public func isInfinite(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(IsInf(), [x], name: name) }
/// Whether each element is finite.
public func isFinite(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(IsFinite(), [x], name: name) }
