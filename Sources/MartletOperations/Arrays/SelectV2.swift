import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The element of `t` where the condition is true, else that of `e`, with broadcasting.
public struct SelectV2: Elementwise {
  public init() {}
  public static let schema = Schema(
    "SelectV2", inputs: ["condition": "bool", "t": "T", "e": "T"], outputs: ["output": "T"], types: ["T": .any],
    traits: [.pure, .elementwise])
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.select(x[0], x[1], x[2]) }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let zero = g.dy.scalar(0)
    return [
      .none,
      g.isNeeded[1] ? .dense(sumToShape(select(g.operands[0], g.dy, zero), of: g.operands[1])) : .none,
      g.isNeeded[2] ? .dense(sumToShape(select(g.operands[0], zero, g.dy), of: g.operands[2])) : .none,
    ]
  }
}

/// The element of `x` where `condition`, an array of `bool`, is true, else that of `y`; with broadcasting.
public func select(_ condition: Output, _ x: Output, _ y: Output, name: String? = nil) -> Output {
  x.graph.addOne(SelectV2(), [condition, x, y], name: name)
}
