import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// A vector added along the channels: the last dimension, or with `NCHW` the second.
public struct BiasAdd: Operation {
  public var dataFormat = "NHWC"
  public init() {}
  public init(dataFormat: DataFormat) { self.dataFormat = dataFormat.rawValue }

  public static let schema = Schema(
    "BiasAdd", inputs: ["value": "T", "bias": "T"], outputs: ["output": "T"], types: ["T": .numeric])
  public static let attributeTable: AttributeTable<BiasAdd> = [AttributeField("data_format", \.dataFormat)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let format = try DataFormat(named: dataFormat)
    let bias = try operands[1].shape(ofRank: 1, "bias")
    let type = operands[0].elementType ?? .float32
    guard var dimensions = operands[0].shape.dimensions else { return [Inference(type, .unknown)] }
    let axis = try format.channelAxis(ofRank: dimensions.count, "value", operands[0].type)
    guard Shape([dimensions[axis]]).isCompatible(with: bias) else {
      throw Diagnostic(
        "must have an element for each of the \(dimensions[axis]) channels of 'value' \(operands[0].shape)",
        operand: "bias", found: "\(operands[1].type)")
    }
    if dimensions[axis].known == nil { dimensions[axis] = bias[0] }
    return [Inference(type, Shape(dimensions))]
  }

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    var grad = BiasAddGrad()
    grad.dataFormat = dataFormat
    return [.dense(g.dy), g.isNeeded[1] ? .dense(g.graph.addOne(grad, [g.dy])) : .none]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.results[0].elementType
    let extents = l.resultShape(0)
    let axis = dataFormat == DataFormat.nchw.rawValue ? 1 : extents.count - 1
    var b = l.builder()
    let result = b.map("BiasAdd", type, extents) { b, axes in
      b.add(b.load(.input(0), type, at: axes), b.load(.input(1), type, at: [axes[axis]]))
    }
    return .compute(b.finish([result]))
  }
}

/// The gradient of `BiasAdd` with respect to the bias: the sum over all but the channels.
public struct BiasAddGrad: Operation {
  public var dataFormat = "NHWC"
  public init() {}

  public static let schema = Schema(
    "BiasAddGrad", inputs: ["out_backprop": "T"], outputs: ["output": "T"], types: ["T": .numeric])
  public static let attributeTable: AttributeTable<BiasAddGrad> = [AttributeField("data_format", \.dataFormat)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let format = try DataFormat(named: dataFormat)
    let type = operands[0].elementType ?? .float32
    guard let dimensions = operands[0].shape.dimensions else {
      return [Inference(type, Shape(unknownOfRank: 1))]
    }
    let axis = try format.channelAxis(ofRank: dimensions.count, "out_backprop", operands[0].type)
    return [Inference(type, Shape([dimensions[axis]]))]
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let x = g.operands[0]
    guard dataFormat == DataFormat.nchw.rawValue else {
      return [.dense(broadcast(g.dy, to: shapeVector(of: x)))]
    }
    guard let rank = x.rank else {
      throw Diagnostic("the gradient needs the rank", operand: "out_backprop", found: "\(x.type)")
    }
    let column = reshape(g.dy, [1, -1] + Array(repeating: 1, count: rank - 2))
    return [.dense(broadcast(column, to: shapeVector(of: x)))]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let operand = l.operandTypes[0]
    let rank = operand.extents.count
    let axis = dataFormat == DataFormat.nchw.rawValue ? 1 : rank - 1
    let reduced = (0..<rank).filter { $0 != axis }
    var b = l.builder()
    let result = b.reduce(
      "BiasAddGrad", operand.elementType, l.resultShape(0), over: reduced.map { operand.extents[$0] }, .sum
    ) { b, axes, inner in
      b.load(
        .input(0), operand.elementType, at: interleaved(axes, inner, reduced, rank: rank, keepDims: false))
    }
    return .compute(b.finish([result]))
  }
}

/// Where the channels of a stack of images are.
public enum DataFormat: String, Sendable {
  /// Batch, height, width, channels.
  case nhwc = "NHWC"
  /// Batch, channels, height, width.
  case nchw = "NCHW"

  init(named name: String) throws(Diagnostic) {
    guard let format = DataFormat(rawValue: name) else {
      throw Diagnostic("attribute 'data_format' is unknown", required: "NHWC or NCHW", found: name)
    }
    self = format
  }

  /// The axis of the channels in an array of any rank from two on.
  func channelAxis(ofRank rank: Int, _ operand: String, _ type: ValueType) throws(Diagnostic) -> Int {
    guard rank >= (self == .nchw ? 3 : 2) else {
      throw Diagnostic(
        "", operand: operand, required: "\(self == .nchw ? "three" : "two") dimensions or more", found: "\(type)")
    }
    return self == .nchw ? 1 : rank - 1
  }
}

/// `bias`, a vector, added along the channels of `value`.
public func biasAdd(
  _ value: Output, _ bias: Output, dataFormat: DataFormat = .nhwc, name: String? = nil
) -> Output {
  value.graph.addOne(BiasAdd(dataFormat: dataFormat), [value, bias], name: name)
}
