import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Batch normalization: each channel of `x` is shifted and scaled to mean 0 and variance 1, then to `offset` and `scale`.
///
/// With `is_training` the moments are those of `x` over all but the channels; `batch_mean` and `batch_variance`, the
/// latter times n / (n - 1), are mixed with the operands `mean` and `variance` by `exponential_avg_factor`. Else the
/// moments are the operands, and go through. The reserve spaces hold what the gradient needs: mean, variance, nothing.
/// Where `x` has 16 bits the other operands may be `float32`; everything is computed in that then.
public struct FusedBatchNormV3: Operation {
  public var epsilon: Float = 0.0001
  /// The weight of the batch in the moments that go out; with 1 the operands `mean` and `variance` are not read.
  public var exponentialAverageFactor: Float = 1
  public var dataFormat = "NHWC"
  public var isTraining = true
  public init() {}

  public static let schema = Schema(
    "FusedBatchNormV3",
    inputs: ["x": "T", "scale": "U", "offset": "U", "mean": "U", "variance": "U"],
    outputs: [
      "y": "T", "batch_mean": "U", "batch_variance": "U", "reserve_space_1": "U", "reserve_space_2": "U",
      "reserve_space_3": "U",
    ], types: ["T": .floating, "U": .floating])
  public static let attributeTable: AttributeTable<FusedBatchNormV3> = [
    AttributeField("epsilon", \.epsilon), AttributeField("exponential_avg_factor", \.exponentialAverageFactor),
    AttributeField("data_format", \.dataFormat), AttributeField("is_training", \.isTraining),
  ]
  /// Whether the moments that go out depend on those that come in.
  private var isMixing: Bool { isTraining && exponentialAverageFactor != 1 }

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let format = try DataFormat(named: dataFormat)
    let x = try operands[0].shape(ofRank: 4, "x")
    let type = operands[0].elementType ?? .float32
    let channelType = try channelType(type, operands[1])
    let readsMoments = !isTraining || isMixing
    var channels = Shape([x[format.channelAxis]])
    for (i, name) in ["scale", "offset", "mean", "variance"].enumerated() where i < 2 || readsMoments {
      channels = try mergeChannels(channels, operands[i + 1], name)
    }
    var extents = x.dimensions ?? []
    extents[format.channelAxis] = channels[0]
    let vector = Inference(channelType, channels)
    return [Inference(type, Shape(extents)), vector, vector, vector, vector, Inference(channelType, [0])]
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let x = widened(g.operands[0], as: g.operands[1])
    let channels = ChannelMoments(x, dataFormat)
    var result: [Cotangent] = Array(repeating: .none, count: 5)
    let (mean, variance) = isTraining ? (g.results[3], g.results[4]) : (g.operands[3], g.operands[4])
    var towardsX: [Output] = []
    let dy = g.upstream[0].map { widened($0, as: g.operands[1]) }
    if let dy {
      var grad = FusedBatchNormGradV3()
      (grad.epsilon, grad.dataFormat, grad.isTraining) = (epsilon, dataFormat, isTraining)
      let parts = g.graph.add(grad, [dy, x, g.operands[1], mean, variance, g.results[5]])
      towardsX.append(parts[0])
      result[1] = .dense(parts[1])
      result[2] = .dense(parts[2])
    }
    var outerMean: [Output] = []
    var outerVariance: [Output] = []
    if isTraining {
      // The moments are results too, and depend on x.
      let weight = Double(exponentialAverageFactor)
      if let up = g.upstream[1] {
        outerMean.append(up * weight)
        if isMixing { result[3] = .dense(up * (1 - weight)) }
      }
      if let up = g.upstream[2] {
        outerVariance.append(up * weight * channels.besselFactor())
        if isMixing { result[4] = .dense(up * (1 - weight)) }
      }
      outerMean += [g.upstream[3]].compactMap { $0 }
      outerVariance += [g.upstream[4]].compactMap { $0 }
      if !outerMean.isEmpty { towardsX.append(channels.meanGradient(addN(outerMean))) }
      if !outerVariance.isEmpty { towardsX.append(channels.varianceGradient(addN(outerVariance), mean)) }
    } else {
      outerMean = [g.upstream[1], g.upstream[3]].compactMap { $0 }
      outerVariance = [g.upstream[2], g.upstream[4]].compactMap { $0 }
      if let dy, g.isNeeded[3] || g.isNeeded[4] {
        let slope = g.operands[1] * rsqrt(variance + Double(epsilon))
        outerMean.append(-channels.sum(dy) * slope)
        let centred = channels.centred(mean)
        outerVariance.append(channels.sum(dy * centred) * slope * -0.5 / (variance + Double(epsilon)))
      }
      if !outerMean.isEmpty { result[3] = .dense(addN(outerMean)) }
      if !outerVariance.isEmpty { result[4] = .dense(addN(outerVariance)) }
    }
    if !towardsX.isEmpty { result[0] = .dense(narrowed(addN(towardsX), as: g.operands[0])) }
    return result
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    if l.operandTypes[0].elementType != l.operandTypes[1].elementType {
      let operation = self
      return .composite { expansion throws(Diagnostic) in
        let operands = expansion.operands
        let wide = [widened(operands[0], as: operands[1])] + operands.dropFirst()
        let results = expansion.graph.add(operation, wide)
        return [narrowed(results[0], as: operands[0])] + results.dropFirst()
      }
    }
    let stages = ChannelStages(l, dataFormat, epsilon)
    let type = stages.type
    let weight = Double(exponentialAverageFactor)
    let (isTraining, isMixing) = (isTraining, isMixing)
    var b = l.builder()
    let mean: Source
    let variance: Source
    if isTraining {
      (mean, variance) = stages.moments(&b, "BatchNorm")
    } else {
      (mean, variance) = (.input(3), .input(4))
    }
    let y = b.map("BatchNorm", type, stages.extents) { b, axes in
      let channel = [axes[stages.axis]]
      let centred = b.subtract(b.load(.input(0), type, at: axes), b.load(mean, type, at: channel))
      let slope = b.multiply(stages.inverseDeviation(&b, variance, channel), b.load(.input(1), type, at: channel))
      return b.add(b.multiply(centred, slope), b.load(.input(2), type, at: channel))
    }
    func moment(_ name: String, _ source: Source, _ old: Int, factor: Double) -> Source {
      b.map(name, type, stages.channels) { b, channel in
        var value = b.load(source, type, at: channel)
        if factor != 1 { value = b.multiply(value, b.constant(factor, type)) }
        guard isMixing else { return value }
        let kept = b.multiply(b.load(.input(old), type, at: channel), b.constant(1 - weight, type))
        return b.add(b.multiply(value, b.constant(weight, type)), kept)
      }
    }
    let count = Double(stages.count)
    let bessel = isTraining ? count / Swift.max(count - 1, 1) : 1
    let meanOut = moment("BatchNorm/batch_mean", mean, 3, factor: 1)
    let varianceOut = moment("BatchNorm/batch_variance", variance, 4, factor: bessel)
    func copy(_ name: String, _ source: Source) -> Source {
      b.map(name, type, stages.channels) { b, channel in b.load(source, type, at: channel) }
    }
    let reserves = [copy("BatchNorm/reserve_1", mean), copy("BatchNorm/reserve_2", variance)]
    let nothing = b.map("BatchNorm/reserve_3", type, [0]) { b, _ in b.constant(0, type) }
    return .compute(b.finish([y, meanOut, varianceOut] + reserves + [nothing]))
  }
}

extension FusedBatchNormV3: BatchNormalizing {
  public func batchNormalization(_ context: LoweringContext) -> BatchNormalization? {
    isTraining && !isMixing ? context.batchNormalization(.forward, dataFormat, epsilon) : nil
  }
}

extension FusedBatchNormGradV3: BatchNormalizing {
  public func batchNormalization(_ context: LoweringContext) -> BatchNormalization? {
    isTraining ? context.batchNormalization(.backward, dataFormat, epsilon) : nil
  }
}

extension LoweringContext {
  /// The contract of float32 images; what has 16 bits is written with casts around these.
  fileprivate func batchNormalization(
    _ role: BatchNormalization.Role, _ dataFormat: String, _ epsilon: Float
  ) -> BatchNormalization? {
    let type = results[0].elementType
    let extents = resultShape(0)
    guard type == .float32, results.allSatisfy({ $0.elementType == type }), extents.count == 4 else { return nil }
    let isChannelsFirst = dataFormat == DataFormat.nchw.rawValue
    let (height, width, channels) = isChannelsFirst ? (2, 3, 1) : (1, 2, 3)
    return BatchNormalization(
      role: role, elementType: type, isChannelsFirst: isChannelsFirst, batch: extents[0], height: extents[height],
      width: extents[width], channels: extents[channels], epsilon: epsilon)
  }
}

/// The gradient of `FusedBatchNormV3` with respect to `x`, `scale` and `offset`, from the moments in its reserve spaces,
/// or, without `is_training`, from those it was given.
public struct FusedBatchNormGradV3: Operation {
  public var epsilon: Float = 0.0001
  public var dataFormat = "NHWC"
  public var isTraining = true
  public init() {}

  public static let schema = Schema(
    "FusedBatchNormGradV3",
    inputs: [
      "y_backprop": "T", "x": "T", "scale": "U", "reserve_space_1": "U", "reserve_space_2": "U",
      "reserve_space_3": "U",
    ],
    outputs: [
      "x_backprop": "T", "scale_backprop": "U", "offset_backprop": "U", "reserve_space_4": "U",
      "reserve_space_5": "U",
    ], types: ["T": .floating, "U": .floating])
  public static let attributeTable: AttributeTable<FusedBatchNormGradV3> = [
    AttributeField("epsilon", \.epsilon), AttributeField("data_format", \.dataFormat),
    AttributeField("is_training", \.isTraining),
  ]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let format = try DataFormat(named: dataFormat)
    let x = try operands[1].shape(ofRank: 4, "x")
    guard let both = try operands[0].shape(ofRank: 4, "y_backprop").merged(with: x) else {
      throw Diagnostic("must have the shape of 'x' \(x)", operand: "y_backprop", found: "\(operands[0].type)")
    }
    let type = operands[0].elementType ?? .float32
    let channelType = try channelType(type, operands[2])
    var channels = Shape([both[format.channelAxis]])
    for (i, name) in [(2, "scale"), (3, "reserve_space_1"), (4, "reserve_space_2")] {
      channels = try mergeChannels(channels, operands[i], name)
    }
    let vector = Inference(channelType, channels)
    let nothing = Inference(channelType, [0])
    return [Inference(type, both), vector, vector, nothing, nothing]
  }

  /// Of the formula, written in operations.
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let (scale, mean, variance) = (g.operands[2], g.operands[3], g.operands[4])
    let (dy, x) = (widened(g.operands[0], as: scale), widened(g.operands[1], as: scale))
    let channels = ChannelMoments(x, dataFormat)
    let inverse = rsqrt(variance + Double(epsilon))
    let normal = channels.centred(mean) * channels.spread(inverse)
    let offsetGradient = channels.sum(dy)
    let scaleGradient = channels.sum(dy * normal)
    var inner = dy
    if isTraining {
      let common = channels.spread(offsetGradient) + normal * channels.spread(scaleGradient)
      inner = dy - common / channels.count()
    }
    let xGradient = narrowed(inner * channels.spread(scale * inverse), as: g.operands[1])
    let weighted = zip([xGradient, scaleGradient, offsetGradient], g.upstream).compactMap { value, weight in
      weight.map { (value, $0) }
    }
    let inputs = Array(g.operands.prefix(5))
    let found = try g.differentiator.gradients(weighted.map(\.0), inputs, weighted.map(\.1))
    return found.map { $0.map { .dense($0) } ?? .none } + [.none]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    if l.operandTypes[1].elementType != l.operandTypes[2].elementType {
      let operation = self
      return .composite { expansion throws(Diagnostic) in
        let operands = expansion.operands
        let wide = operands.prefix(2).map { widened($0, as: operands[2]) } + operands.dropFirst(2)
        let results = expansion.graph.add(operation, wide)
        return [narrowed(results[0], as: operands[1])] + results.dropFirst()
      }
    }
    let stages = ChannelStages(l, dataFormat, epsilon)
    let type = stages.type
    let isTraining = isTraining
    var b = l.builder()
    func normal(_ b: inout ScalarBuilder, _ axes: [Scalar]) -> Scalar {
      let channel = [axes[stages.axis]]
      let centred = b.subtract(b.load(.input(1), type, at: axes), b.load(.input(3), type, at: channel))
      return b.multiply(centred, stages.inverseDeviation(&b, .input(4), channel))
    }
    let offset = stages.sum(&b, "BatchNormGrad/offset") { b, axes in b.load(.input(0), type, at: axes) }
    let scale = stages.sum(&b, "BatchNormGrad/scale") { b, axes in
      b.multiply(b.load(.input(0), type, at: axes), normal(&b, axes))
    }
    let x = b.map("BatchNormGrad", type, stages.extents) { b, axes in
      let channel = [axes[stages.axis]]
      var inner = b.load(.input(0), type, at: axes)
      if isTraining {
        let share = b.constant(1 / Double(stages.count), type)
        let common = b.add(
          b.load(offset, type, at: channel), b.multiply(normal(&b, axes), b.load(scale, type, at: channel)))
        inner = b.subtract(inner, b.multiply(common, share))
      }
      let slope = b.multiply(b.load(.input(2), type, at: channel), stages.inverseDeviation(&b, .input(4), channel))
      return b.multiply(inner, slope)
    }
    let nothing = (4...5).map { i in b.map("BatchNormGrad/reserve_\(i)", type, [0]) { b, _ in b.constant(0, type) } }
    return .compute(b.finish([x, scale, offset] + nothing))
  }
}

/// The type of what belongs to channels: that of `x`, or `float32` beside one of 16 bits.
private func channelType(_ type: ElementType, _ scale: Operand) throws(Diagnostic) -> ElementType {
  if type.isHalf, scale.elementType == .float32 { return .float32 }
  guard scale.elementType == type else {
    throw Diagnostic(
      "the element types differ", operand: "scale",
      required: "\(type), the type of 'x'" + (type.isHalf ? ", or float32" : ""), found: "\(scale.type)",
      hint: "convert one with cast(_:to:)")
  }
  return type
}

private func widened(_ x: Output, as scale: Output) -> Output {
  x.elementType == scale.elementType ? x : cast(x, to: scale.elementType)
}

private func narrowed(_ y: Output, as x: Output) -> Output {
  y.elementType == x.elementType ? y : cast(y, to: x.elementType)
}

private func mergeChannels(_ channels: Shape, _ operand: Operand, _ name: String) throws(Diagnostic) -> Shape {
  guard let both = channels.merged(with: try operand.shape(ofRank: 1, name)) else {
    throw Diagnostic(
      "must have an element for each of the \(channels[0]) channels of 'x'", operand: name, found: "\(operand.type)")
  }
  return both
}

/// Normalizes each channel of `x` and gives it a new scale and offset.
///
/// - Parameters:
///   - x: four dimensions in the order of `dataFormat`.
///   - scale, offset: vectors, an element a channel.
///   - mean, variance: the moments to use if not training; when training, what the batch's moments are mixed with if
///     `exponentialAverageFactor` is not 1.
/// - Returns: the result; when training, the batch's mean and its variance times n / (n - 1), for moving averages.
public func fusedBatchNorm(
  _ x: Output, scale: Output, offset: Output, mean: Output? = nil, variance: Output? = nil, epsilon: Float = 0.001,
  exponentialAverageFactor: Float = 1, isTraining: Bool = true, dataFormat: DataFormat = .nhwc, name: String? = nil
) -> (y: Output, mean: Output, variance: Output) {
  var operation = FusedBatchNormV3()
  operation.epsilon = epsilon
  operation.exponentialAverageFactor = exponentialAverageFactor
  operation.dataFormat = dataFormat.rawValue
  operation.isTraining = isTraining
  let empty = mean == nil || variance == nil ? cast(x.graph.constant([Double]()), to: scale.elementType) : scale
  let results = x.graph.add(operation, [x, scale, offset, mean ?? empty, variance ?? empty], name: name)
  return (results[0], results[1], results[2])
}
