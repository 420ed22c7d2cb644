import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The greatest element along some axes; the lowest number of the type, −∞ for floats, of none. NaN if one is.
///
/// Elements that share the maximum share its gradient in equal parts.
public struct Max: AxisReduction {
  public var keepDims = false
  public init() {}
  public init(keepDims: Bool) { self.keepDims = keepDims }
  public static let schema = Schema(reduction: "Max", types: .numeric)
  public static let attributeTable: AttributeTable<Max> = [AttributeField("keep_dims", \.keepDims)]
  static var combiner: StageBuilder.Combiner { .maximum }
  func known(_ elements: [Dimension]) -> Dimension? {
    elements.first.map { elements.dropFirst().reduce($0) { $0.max($1) } }
  }
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    try sharedAmongTies(g, keepDims: keepDims)
  }
}

/// The smallest element along some axes; the highest number of the type, ∞ for floats, of none. NaN if one is.
///
/// Elements that share the minimum share its gradient in equal parts.
public struct Min: AxisReduction {
  public var keepDims = false
  public init() {}
  public init(keepDims: Bool) { self.keepDims = keepDims }
  public static let schema = Schema(reduction: "Min", types: .numeric)
  public static let attributeTable: AttributeTable<Min> = [AttributeField("keep_dims", \.keepDims)]
  static var combiner: StageBuilder.Combiner { .minimum }
  func known(_ elements: [Dimension]) -> Dimension? {
    elements.first.map { elements.dropFirst().reduce($0) { $0.min($1) } }
  }
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    try sharedAmongTies(g, keepDims: keepDims)
  }
}

private func sharedAmongTies(_ g: GradientContext, keepDims: Bool) throws(Diagnostic) -> [Cotangent] {
  let x = g.operands[0]
  let extreme = try g.restoringAxes(g.results[0], keepDims: keepDims)
  let isExtreme = cast(x .== extreme, to: x.elementType)
  let count = g.graph.addOne(Sum(keepDims: true), [isExtreme, g.operands[1]])
  return [.dense(isExtreme / count * (try g.restoringAxes(g.dy, keepDims: keepDims))), .none]
}

/// The greatest element along `axes`, all by default; negative axes count from the end.
public func max(_ x: Output, axes: [Int]? = nil, keepDims: Bool = false, name: String? = nil) -> Output {
  x.graph.addOne(Max(keepDims: keepDims), [x, x.axesOperand(axes)], name: name)
}
/// The smallest element along `axes`, all by default; negative axes count from the end.
public func min(_ x: Output, axes: [Int]? = nil, keepDims: Bool = false, name: String? = nil) -> Output {
  x.graph.addOne(Min(keepDims: keepDims), [x, x.axesOperand(axes)], name: name)
}
