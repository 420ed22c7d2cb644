import MartletGraph
import MartletLoopIR
import MartletTensors

extension Schema {
  /// Operands `x` and `y` of one type and a Boolean result `z`.
  fileprivate init(comparison name: String, types: TypeSet, commutative: Bool = false) {
    var traits: Traits = [.pure, .elementwise]
    if commutative { traits.insert(.commutative) }
    self.init(name, inputs: ["x": "T", "y": "T"], outputs: ["z": "bool"], types: ["T": types], traits: traits)
  }
}

private let truth = Differentiation.none("its result is a Boolean")

/// Whether `x == y`; NaN equals nothing.
public struct Equal: Elementwise {
  public init() {}
  public static let schema = Schema(comparison: "Equal", types: .any, commutative: true)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.equal(x[0], x[1]) }
  public var differentiation: Differentiation { truth }
}

/// Whether `x != y`; NaN differs from everything.
public struct NotEqual: Elementwise {
  public init() {}
  public static let schema = Schema(comparison: "NotEqual", types: .any, commutative: true)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.notEqual(x[0], x[1]) }
  public var differentiation: Differentiation { truth }
}

/// Whether `x < y`; false if either is NaN.
public struct Less: Elementwise {
  public init() {}
  public static let schema = Schema(comparison: "Less", types: .numeric)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.less(x[0], x[1]) }
  public var differentiation: Differentiation { truth }
}

/// Whether `x <= y`; false if either is NaN.
public struct LessEqual: Elementwise {
  public init() {}
  public static let schema = Schema(comparison: "LessEqual", types: .numeric)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.lessEqual(x[0], x[1]) }
  public var differentiation: Differentiation { truth }
}

/// Whether `x > y`; false if either is NaN.
public struct Greater: Elementwise {
  public init() {}
  public static let schema = Schema(comparison: "Greater", types: .numeric)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.greater(x[0], x[1]) }
  public var differentiation: Differentiation { truth }
}

/// Whether `x >= y`; false if either is NaN.
public struct GreaterEqual: Elementwise {
  public init() {}
  public static let schema = Schema(comparison: "GreaterEqual", types: .numeric)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.greaterEqual(x[0], x[1]) }
  public var differentiation: Differentiation { truth }
}
