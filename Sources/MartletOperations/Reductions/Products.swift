import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The product of the elements along some axes; 1 of none.
public struct Prod: AxisReduction {
  public var keepDims = false
  public init() {}
  public init(keepDims: Bool) { self.keepDims = keepDims }
  public static let schema = Schema(reduction: "Prod", types: .numeric)
  public static let attributeTable: AttributeTable<Prod> = [AttributeField("keep_dims", \.keepDims)]
  static var combiner: StageBuilder.Combiner { .product }
  func known(_ elements: [Dimension]) -> Dimension? { elements.reduce(1, *) }

  /// The product of all other elements, without division: along each axis what stands before an element times what
  /// stands behind it. Second derivatives go by way of `Cumprod`, whose doc comment says when they are right at zeros.
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    guard let axes = g.operands[1].operand.integers else {
      throw Diagnostic(
        "must be known while the graph is built, for the gradient", operand: "reduction_indices",
        found: "\(g.operands[1].type)")
    }
    var others = try g.restoringAxes(g.dy, keepDims: keepDims)
    var x = g.operands[0]
    for axis in axes {
      others = others * cumulativeProduct(x, axis: axis, exclusive: true)
      others = others * cumulativeProduct(x, axis: axis, exclusive: true, reverse: true)
      x = product(x, axes: [axis], keepDims: true)
    }
    return [.dense(axes.isEmpty ? g.dy : others), .none]
  }
}

/// Whether all elements along some axes are true; true of none.
public struct All: AxisReduction {
  public var keepDims = false
  public init() {}
  public init(keepDims: Bool) { self.keepDims = keepDims }
  public static let schema = Schema(logicalReduction: "All")
  public static let attributeTable: AttributeTable<All> = [AttributeField("keep_dims", \.keepDims)]
  static var combiner: StageBuilder.Combiner { .all }
  public var differentiation: Differentiation { .none("its result is a Boolean") }
}

/// Whether any element along some axes is true; false of none.
public struct AnyReduction: AxisReduction {
  public var keepDims = false
  public init() {}
  public init(keepDims: Bool) { self.keepDims = keepDims }
  public static let schema = Schema(logicalReduction: "Any")
  public static let attributeTable: AttributeTable<AnyReduction> = [AttributeField("keep_dims", \.keepDims)]
  static var combiner: StageBuilder.Combiner { .any }
  public var differentiation: Differentiation { .none("its result is a Boolean") }
}

/// The product along `axes`, all by default; negative axes count from the end.
public func product(_ x: Output, axes: [Int]? = nil, keepDims: Bool = false, name: String? = nil) -> Output {
  x.graph.addOne(Prod(keepDims: keepDims), [x, x.axesOperand(axes)], name: name)
}
/// Whether all are true along `axes`, all by default; negative axes count from the end.
public func all(_ x: Output, axes: [Int]? = nil, keepDims: Bool = false, name: String? = nil) -> Output {
  x.graph.addOne(All(keepDims: keepDims), [x, x.axesOperand(axes)], name: name)
}
/// Whether any is true along `axes`, all by default; negative axes count from the end.
public func any(_ x: Output, axes: [Int]? = nil, keepDims: Bool = false, name: String? = nil) -> Output {
  x.graph.addOne(AnyReduction(keepDims: keepDims), [x, x.axesOperand(axes)], name: name)
}
