import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The maximum under a window that moves over images; padding does not count.
///
/// Of equal maxima under one window the first in row order gets the gradient.
public struct MaxPool: PoolingOperation {
  public var ksize = [1, 1, 1, 1]
  public var window = Window()
  public init() {}

  public static let schema = Schema("MaxPool", inputs: ["input": "T"], outputs: ["output": "T"], types: ["T": .numeric])
  public static let attributeTable: AttributeTable<MaxPool> = maximumAttributes

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let image = try operands[0].shape(ofRank: 4, "input")
    return [Inference(operands[0].elementType ?? .float32, try outputShape(image, "input"))]
  }

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let grad = MaxPoolGrad(ksize: ksize, window: window)
    return [.dense(g.graph.addOne(grad, [g.operands[0], g.results[0], g.dy]))]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.results[0].elementType
    let contract = try contract(.forward, .maximum, type, image: l.operandShape(0), output: l.resultShape(0))
    var b = l.builder()
    let program = PoolingStages(contract).maximum(&b, .input(0), "MaxPool")
    let stages = b.finish([program])
    return type.isFloatingPoint ? .library(.pooling(contract), reference: stages) : .compute(stages)
  }
}

/// The gradient of `MaxPool` with respect to its images: each window's gradient goes to its first maximum.
public struct MaxPoolGrad: PoolingOperation {
  public var ksize = [1, 1, 1, 1]
  public var window = Window()
  public init() {}

  public static let schema = Schema(
    "MaxPoolGrad", inputs: ["orig_input": "T", "orig_output": "T", "grad": "T"], outputs: ["output": "T"],
    types: ["T": .numeric])
  public static let attributeTable: AttributeTable<MaxPoolGrad> = maximumAttributes

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let image = try operands[0].shape(ofRank: 4, "orig_input")
    let output = try outputShape(image, "orig_input")
    for (i, name) in [(1, "orig_output"), (2, "grad")] {
      guard try operands[i].shape(ofRank: 4, name).isCompatible(with: output) else {
        throw Diagnostic(
          "must have the shape of the pooling's result", operand: name, required: "\(output)",
          found: "\(operands[i].type)")
      }
    }
    return [Inference(operands[0].elementType ?? .float32, image)]
  }

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let grad = MaxPoolGradGrad(ksize: ksize, window: window)
    return [.none, .none, .dense(g.graph.addOne(grad, [g.operands[0], g.operands[1], g.dy]))]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.results[0].elementType
    let contract = try contract(.backward, .maximum, type, image: l.operandShape(0), output: l.operandShape(2))
    let pooling = PoolingStages(contract)
    var b = l.builder()
    let first = pooling.firstMaximum(&b, .input(0), "MaxPoolGrad/first")
    let gradient = pooling.gathered(&b, "MaxPoolGrad") { b, pixel, window, isInside in
      let (y, x) = pooling.position(pixel)
      let place = b.add(b.multiply(y, b.integer(contract.inputWidth)), x)
      let isFirst = b.equal(b.load(first, .int64, at: window, if: isInside), place)
      let isTaken = isInside.map { b.and($0, isFirst) } ?? isFirst
      return b.select(isTaken, b.load(.input(2), type, at: window, if: isInside), b.constant(0, type))
    }
    let stages = b.finish([gradient])
    return type.isFloatingPoint ? .library(.pooling(contract), reference: stages) : .compute(stages)
  }
}

/// The gradient of `MaxPoolGrad` with respect to the gradient it is given: for each window the element of `grad`, which
/// has the images' shape, at its first maximum.
public struct MaxPoolGradGrad: PoolingOperation {
  public var ksize = [1, 1, 1, 1]
  public var window = Window()
  public init() {}

  public static let schema = Schema(
    "MaxPoolGradGrad", inputs: ["orig_input": "T", "orig_output": "T", "grad": "T"], outputs: ["output": "T"],
    types: ["T": .numeric])
  public static let attributeTable: AttributeTable<MaxPoolGradGrad> = commonAttributes

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let image = try operands[0].shape(ofRank: 4, "orig_input")
    guard try operands[2].shape(ofRank: 4, "grad").isCompatible(with: image) else {
      throw Diagnostic(
        "must have the shape of the images", operand: "grad", required: "\(image)", found: "\(operands[2].type)")
    }
    return [Inference(operands[0].elementType ?? .float32, try outputShape(image, "orig_input"))]
  }

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let grad = MaxPoolGrad(ksize: ksize, window: window)
    return [.none, .none, .dense(g.graph.addOne(grad, [g.operands[0], g.operands[1], g.dy]))]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.results[0].elementType
    let contract = try contract(.backward, .maximum, type, image: l.operandShape(0), output: l.resultShape(0))
    let pooling = PoolingStages(contract)
    var b = l.builder()
    let first = pooling.firstMaximum(&b, .input(0), "MaxPoolGradGrad/first")
    let result = b.map("MaxPoolGradGrad", type, l.resultShape(0)) { b, axes in
      let place = b.load(first, .int64, at: axes)
      let isInside = b.less(place, b.integer(contract.inputHeight * contract.inputWidth))
      let width = b.integer(Swift.max(contract.inputWidth, 1))
      let pixel = pooling.moved(axes, b.floorDivide(place, width), b.floorModulo(place, width))
      return b.load(.input(2), type, at: pixel, if: isInside)
    }
    return .compute(b.finish([result]))
  }
}

/// The maximum under a window that moves over images.
///
/// - Parameters:
///   - images: four dimensions in the order of `dataFormat`.
///   - size: the window's extents.
///   - strides: `size` by default.
public func maxPool(
  _ images: Output, size: PerDimension, strides: PerDimension? = nil, padding: Padding = .valid,
  dataFormat: DataFormat = .nhwc, name: String? = nil
) -> Output {
  let window = Window(strides: strides ?? size, padding: padding, dataFormat: dataFormat)
  let ksize = Window.list(size, dataFormat, others: 1)
  return images.graph.addOne(MaxPool(ksize: ksize, window: window), [images], name: name)
}
