import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The sum of the elements along some axes; 0 of none.
public struct Sum: AxisReduction {
  public var keepDims = false
  public init() {}
  public init(keepDims: Bool) { self.keepDims = keepDims }
  public static let schema = Schema(reduction: "Sum", types: .numeric)
  public static let attributeTable: AttributeTable<Sum> = [AttributeField("keep_dims", \.keepDims)]
  static var combiner: StageBuilder.Combiner { .sum }
  func known(_ elements: [Dimension]) -> Dimension? { elements.reduce(0, +) }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    [.dense(try g.spread(g.dy, keepDims: keepDims)), .none]
  }
}

/// The mean of the elements along some axes; NaN of none. Of integers, the quotient is truncated; small ones are added up in
/// 64 bits, as in TensorFlow.
public struct Mean: AxisReduction {
  public var keepDims = false
  public init() {}
  public init(keepDims: Bool) { self.keepDims = keepDims }
  public static let schema = Schema(reduction: "Mean", types: .numeric)
  public static let attributeTable: AttributeTable<Mean> = [AttributeField("keep_dims", \.keepDims)]
  static var combiner: StageBuilder.Combiner { .sum }
  static func accumulator(for type: ElementType) -> ElementType { type.isInteger ? .int64 : type }
  func finish(_ b: inout ScalarBuilder, _ total: Scalar, count: Int) -> Scalar {
    b.divide(total, b.integer(count, total.type))
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let x = g.operands[0]
    let spread = try g.spread(g.dy, keepDims: keepDims)
    if let extents = x.shape.dimensions, let axes = g.operands[1].operand.integers {
      let count = try reducedAxes(axes, rank: extents.count).map { extents[$0] }.reduce(1, *)
      if let count = count.known {
        guard spread.elementType.isHalf else { return [.dense(spread / Double(count)), .none] }
        // In 16 bits the number may be infinite.
        return [.dense(cast(cast(spread, to: .float32) / Double(count), to: spread.elementType)), .none]
      }
    }
    // The number of elements in one mean, as TensorFlow computes it.
    let count = floorDivide(size(of: x), maximum(size(of: g.results[0]), g.graph.constant(1)))
    return [.dense(spread / cast(count, to: x.elementType)), .none]
  }
}

/// Half the sum of the squares of all elements.
public struct L2Loss: Operation {
  public init() {}
  public static let schema = Schema("L2Loss", inputs: ["t": "T"], outputs: ["output": "T"], types: ["T": .floating])
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    [Inference(operands[0].elementType ?? .float32, .scalar)]
  }
  public func gradient(_ g: inout GradientContext) -> [Cotangent] { [.dense(g.operands[0] * g.dy)] }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let operand = l.operandTypes[0]
    var b = l.builder()
    let loss = b.reduce("L2Loss", operand.elementType, [], over: operand.extents, .sum) { b, _, inner in
      let x = b.load(.input(0), operand.elementType, at: inner)
      return b.multiply(x, x)
    } finish: { b, total in
      b.multiply(total, b.constant(0.5, total.type))
    }
    return .compute(b.finish([loss]))
  }
}

/// The sum along `axes`, all by default; negative axes count from the end.
public func sum(_ x: Output, axes: [Int]? = nil, keepDims: Bool = false, name: String? = nil) -> Output {
  x.graph.addOne(Sum(keepDims: keepDims), [x, x.axesOperand(axes)], name: name)
}
/// The mean along `axes`, all by default; negative axes count from the end.
public func mean(_ x: Output, axes: [Int]? = nil, keepDims: Bool = false, name: String? = nil) -> Output {
  x.graph.addOne(Mean(keepDims: keepDims), [x, x.axesOperand(axes)], name: name)
}
/// `sum(x²) / 2` over all elements.
public func l2Loss(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(L2Loss(), [x], name: name) }
