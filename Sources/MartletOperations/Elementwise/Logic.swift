import MartletGraph
import MartletLoopIR
import MartletTensors

private let truth = Differentiation.none("its result is a Boolean")

/// Whether both are true.
public struct LogicalAnd: Elementwise {
  public init() {}
  public static let schema = Schema(
    "LogicalAnd", inputs: ["x": "bool", "y": "bool"], outputs: ["z": "bool"],
    traits: [.pure, .elementwise, .commutative])
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.and(x[0], x[1]) }
  public var differentiation: Differentiation { truth }
}

/// Whether one of the two, or both, is true.
public struct LogicalOr: Elementwise {
  public init() {}
  public static let schema = Schema(
    "LogicalOr", inputs: ["x": "bool", "y": "bool"], outputs: ["z": "bool"],
    traits: [.pure, .elementwise, .commutative])
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.or(x[0], x[1]) }
  public var differentiation: Differentiation { truth }
}

/// Whether `x` is false.
public struct LogicalNot: Elementwise {
  public init() {}
  public static let schema = Schema(
    "LogicalNot", inputs: ["x": "bool"], outputs: ["y": "bool"], traits: [.pure, .elementwise])
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.not(x[0]) }
  public var differentiation: Differentiation { truth }
}
