import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The mean under a window that moves over images; padding does not count.
public struct AvgPool: PoolingOperation {
  public var ksize = [1, 1, 1, 1]
  public var window = Window()
  public init() {}

  public static let schema = Schema(
    "AvgPool", inputs: ["value": "T"], outputs: ["output": "T"], types: ["T": .floating])
  public static let attributeTable: AttributeTable<AvgPool> = commonAttributes

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let image = try operands[0].shape(ofRank: 4, "value")
    return [Inference(operands[0].elementType ?? .float32, try outputShape(image, "value"))]
  }

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let grad = AvgPoolGrad(ksize: ksize, window: window)
    return [.dense(g.graph.addOne(grad, [shapeVector(of: g.operands[0]), g.dy]))]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.results[0].elementType
    let contract = try contract(.forward, .average, type, image: l.operandShape(0), output: l.resultShape(0))
    let pooling = PoolingStages(contract)
    var b = l.builder()
    let total = b.reduce("AvgPool", type, l.resultShape(0), over: pooling.kernel, .sum) { b, axes, inner in
      let (y, x) = pooling.position(axes)
      let row = pooling.rows.input(&b, at: y, offset: inner[0])
      let column = pooling.columns.input(&b, at: x, offset: inner[1])
      return b.load(
        .input(0), type, at: pooling.moved(axes, row.index, column.index), if: both(&b, row, column))
    }
    let mean = b.map("AvgPool/mean", type, l.resultShape(0)) { b, axes in
      b.divide(b.load(total, type, at: axes), pooling.count(&b, axes))
    }
    return .library(.pooling(contract), reference: b.finish([mean]))
  }
}

/// The gradient of `AvgPool` with respect to its images, whose shape `orig_input_shape` gives.
public struct AvgPoolGrad: PoolingOperation {
  public var ksize = [1, 1, 1, 1]
  public var window = Window()
  public init() {}

  public static let schema = Schema(
    "AvgPoolGrad", inputs: ["orig_input_shape": "int32", "grad": "T"], outputs: ["output": "T"],
    types: ["T": .floating])
  public static let attributeTable: AttributeTable<AvgPoolGrad> = commonAttributes

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let sizes = try operands[0].shapeValue("orig_input_shape")
    let image = sizes.rank == nil ? Shape(unknownOfRank: 4) : sizes
    guard image.rank == 4 else {
      throw Diagnostic("", operand: "orig_input_shape", required: "4 extents", found: "\(image)")
    }
    let output = try outputShape(image, "orig_input_shape")
    guard try operands[1].shape(ofRank: 4, "grad").isCompatible(with: output) else {
      throw Diagnostic(
        "must have the shape of the pooling's result", operand: "grad", required: "\(output)",
        found: "\(operands[1].type)")
    }
    return [Inference(operands[1].elementType ?? .float32, image)]
  }

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    [.none, .dense(g.graph.addOne(AvgPool(ksize: ksize, window: window), [g.dy]))]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.results[0].elementType
    let contract = try contract(.backward, .average, type, image: l.resultShape(0), output: l.operandShape(1))
    let pooling = PoolingStages(contract)
    var b = l.builder()
    let gradient = pooling.gathered(&b, "AvgPoolGrad") { b, _, window, isInside in
      let share = b.divide(b.load(.input(1), type, at: window, if: isInside), pooling.count(&b, window))
      guard let isInside else { return share }
      return b.select(isInside, share, b.constant(0, type))
    }
    return .library(.pooling(contract), reference: b.finish([gradient]))
  }
}

/// The mean under a window that moves over images; padding does not count.
///
/// - Parameters:
///   - images: four dimensions in the order of `dataFormat`.
///   - size: the window's extents.
///   - strides: `size` by default.
///   - padding: `.valid` or `.same`.
public func avgPool(
  _ images: Output, size: PerDimension, strides: PerDimension? = nil, padding: Padding = .valid,
  dataFormat: DataFormat = .nhwc, name: String? = nil
) -> Output {
  let window = Window(strides: strides ?? size, padding: padding, dataFormat: dataFormat)
  let ksize = Window.list(size, dataFormat, others: 1)
  return images.graph.addOne(AvgPool(ksize: ksize, window: window), [images], name: name)
}
