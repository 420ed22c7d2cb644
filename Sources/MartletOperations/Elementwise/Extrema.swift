import MartletGraph
import MartletLoopIR
import MartletTensors

/// The greater of `x` and `y`; NaN if either is. Where they are equal, `x` gets the gradient.
public struct Maximum: Elementwise {
  public init() {}
  public static let schema = Schema(binary: "Maximum", types: .numeric, commutative: true)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.maximum(x[0], x[1]) }
  public func known(_ x: [Dimension]) -> Dimension? { x[0].max(x[1]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    routed(&g, toFirst: g.operands[0] .>= g.operands[1])
  }
}

/// The smaller of `x` and `y`; NaN if either is. Where they are equal, `x` gets the gradient.
public struct Minimum: Elementwise {
  public init() {}
  public static let schema = Schema(binary: "Minimum", types: .numeric, commutative: true)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.minimum(x[0], x[1]) }
  public func known(_ x: [Dimension]) -> Dimension? { x[0].min(x[1]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    routed(&g, toFirst: g.operands[0] .<= g.operands[1])
  }
}

private func routed(_ g: inout GradientContext, toFirst isFirst: Output) -> [Cotangent] {
  let dy = g.dy
  return g.cotangents({ select(isFirst, dy, dy.scalar(0)) }, { select(isFirst, dy.scalar(0), dy) })
}

/// `t` where it lies between the two bounds, else the bound it lies beyond. The bounds broadcast. Where the lower is above
/// the upper, the result is the lower, as in TensorFlow.
public struct ClipByValue: Elementwise {
  public init() {}
  public static let schema = Schema(
    "ClipByValue", inputs: ["t": "T", "clip_value_min": "T", "clip_value_max": "T"], outputs: ["output": "T"],
    types: ["T": .numeric], traits: [.pure, .elementwise])
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.maximum(b.minimum(x[0], x[2]), x[1]) }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (t, low, high, dy) = (g.operands[0], g.operands[1], g.operands[2], g.dy)
    let zero = dy.scalar(0)
    let isBelow = t .< low
    let isAbove = t .> high
    return g.cotangents(
      { select(isBelow .| isAbove, zero, dy) }, { select(isBelow, dy, zero) }, { select(isAbove, dy, zero) })
  }
}

/// The greater of `x` and `y`, element by element.
public func maximum(_ x: Output, _ y: Output, name: String? = nil) -> Output {
  x.graph.addOne(Maximum(), [x, y], name: name)
}
/// The smaller of `x` and `y`, element by element.
public func minimum(_ x: Output, _ y: Output, name: String? = nil) -> Output {
  x.graph.addOne(Minimum(), [x, y], name: name)
}
/// `x` limited to the range from `low` to `high`.
public func clip(_ x: Output, min low: Output, max high: Output, name: String? = nil) -> Output {
  x.graph.addOne(ClipByValue(), [x, low, high], name: name)
}
/// `x` limited to the range from `low` to `high`.
public func clip(_ x: Output, min low: Double, max high: Double, name: String? = nil) -> Output {
  clip(x, min: x.scalar(low), max: x.scalar(high), name: name)
}
