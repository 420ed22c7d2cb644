import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The cross entropy between rows of probabilities `labels` and the softmax of the rows of `features`: the losses, and
/// the gradient of each with respect to its row of features, `softmax(features) - labels`.
public struct SoftmaxCrossEntropyWithLogits: Operation {
  public init() {}
  public static let schema = Schema(
    "SoftmaxCrossEntropyWithLogits", inputs: ["features": "T", "labels": "T"],
    outputs: ["loss": "T", "backprop": "T"], types: ["T": .floating])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let type = operands[0].elementType ?? .float32
    let features = try operands[0].shape(ofRank: 2, "features")
    let labels = try operands[1].shape(ofRank: 2, "labels")
    guard let both = features.broadcast(with: labels) else {
      throw Diagnostic(
        "must have a probability for each element of 'features' \(features)", operand: "labels",
        found: "\(operands[1].type)")
    }
    return [Inference(type, Shape([both[0]])), Inference(type, both)]
  }

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (features, labels, backprop) = (g.operands[0], g.operands[1], g.results[1])
    var towardsFeatures: [Output] = []
    var towardsLabels: [Output] = []
    if let loss = g.upstream[0] {
      towardsFeatures.append(expandDims(loss, axis: -1) * backprop)
      if g.isNeeded[1] { towardsLabels.append(expandDims(loss, axis: -1) * -logSoftmax(features)) }
    }
    if let second = g.upstream[1] {
      if g.isNeeded[0] { towardsFeatures.append(throughSoftmax(second, features)) }
      towardsLabels.append(-second)
    }
    func total(_ parts: [Output], _ operand: Output, _ isNeeded: Bool) -> Cotangent {
      guard isNeeded, let first = parts.first else { return .none }
      return .dense(sumToShape(parts.dropFirst().reduce(first, +), of: operand))
    }
    return [
      total(towardsFeatures, features, g.isNeeded[0]), total(towardsLabels, labels, g.isNeeded[1]),
    ]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.results[0].elementType
    let extents = l.resultShape(1)
    let (features, labels) = (l.operandTypes[0], l.operandTypes[1])
    var b = l.builder()
    var logits = Source.input(0)
    if features.extents != extents {
      logits = b.map("SoftmaxCrossEntropy/features", type, extents) { b, axes in
        b.load(.input(0), type, at: broadcastIndices(&b, axes, features.extents))
      }
    }
    let rows = RowStages(&b, logits, "SoftmaxCrossEntropy")
    func label(_ b: inout ScalarBuilder, _ axes: [Scalar]) -> Scalar {
      b.load(.input(1), type, at: broadcastIndices(&b, axes, labels.extents))
    }
    let loss = b.reduce("SoftmaxCrossEntropy", type, [extents[0]], over: [extents[1]], .sum) { b, row, inner in
      let axes = row + inner
      let logTotal = b.log(b.load(rows.total, type, at: row))
      let surprise = b.subtract(logTotal, rows.shifted(&b, b.load(logits, type, at: axes), row))
      return b.multiply(label(&b, axes), surprise)
    }
    let backprop = b.map("SoftmaxCrossEntropy/backprop", type, extents) { b, axes in
      b.subtract(rows.probability(&b, logits, axes), label(&b, axes))
    }
    return .compute(b.finish([loss, backprop]))
  }
}

/// The cross entropy between classes `labels`, one a row, and the softmax of the rows of `features`: the losses, and the
/// gradient of each with respect to its row of features, the softmax less 1 at the label.
///
/// A run with a label outside `0 ..< classes` throws.
public struct SparseSoftmaxCrossEntropyWithLogits: Operation {
  public init() {}
  public static let schema = Schema(
    "SparseSoftmaxCrossEntropyWithLogits", inputs: ["features": "T", "labels": "Tlabels"],
    outputs: ["loss": "T", "backprop": "T"], types: ["T": .floating, "Tlabels": .index])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let type = operands[0].elementType ?? .float32
    var features = try operands[0].shape(ofRank: 2, "features")
    let labels = try operands[1].shape(ofRank: 1, "labels")
    guard Shape([features[0]]).isCompatible(with: labels) else {
      throw Diagnostic(
        "must have a class for each row of 'features' \(features)", operand: "labels", found: "\(operands[1].type)",
        hint: "labels are class numbers; for rows of probabilities use softmaxCrossEntropy")
    }
    if features[0].known == nil { features = Shape([labels[0], features[1]]) }
    return [Inference(type, Shape([features[0]])), Inference(type, features)]
  }

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    var parts: [Output] = []
    if let loss = g.upstream[0] { parts.append(expandDims(loss, axis: -1) * g.results[1]) }
    if let second = g.upstream[1] { parts.append(throughSoftmax(second, g.operands[0])) }
    return [parts.isEmpty ? .none : .dense(parts.dropFirst().reduce(parts[0], +)), .none]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.results[0].elementType
    let labelType = l.operandTypes[1].elementType
    let extents = l.resultShape(1)
    if extents[1] == 0, extents[0] > 0 {
      throw Diagnostic("", operand: "features", required: "a class at least", found: "\(l.operands[0].type)")
    }
    var b = l.builder()
    let rows = RowStages(&b, .input(0), "SparseSoftmaxCrossEntropy")
    func label(_ b: inout ScalarBuilder, _ row: Scalar) -> Scalar {
      b.checkIndex(b.cast(b.load(.input(1), labelType, at: [row]), to: .int64), extent: extents[1])
    }
    let loss = b.map("SparseSoftmaxCrossEntropy", type, [extents[0]]) { b, row in
      let chosen = b.load(.input(0), type, at: [row[0], label(&b, row[0])])
      return b.subtract(b.log(b.load(rows.total, type, at: row)), rows.shifted(&b, chosen, row))
    }
    let backprop = b.map("SparseSoftmaxCrossEntropy/backprop", type, extents) { b, axes in
      let isLabel = b.equal(axes[1], label(&b, axes[0]))
      let one = b.select(isLabel, b.constant(1, type), b.constant(0, type))
      return b.subtract(rows.probability(&b, .input(0), axes), one)
    }
    return .compute(b.finish([loss, backprop]))
  }
}

/// `upstream` of a softmax's result brought back to its operand.
private func throughSoftmax(_ upstream: Output, _ features: Output) -> Output {
  let probabilities = softmax(features)
  return (upstream - sum(upstream * probabilities, axes: [-1], keepDims: true)) * probabilities
}

/// The cross entropy between probabilities `labels` and the softmax of `logits` along the last dimension.
///
/// - Parameter labels: of the shape of `logits`; along the last dimension they add up to 1.
/// - Returns: a loss for each row, of the shape of `logits` without the last dimension.
public func softmaxCrossEntropy(logits: Output, labels: Output, name: String? = nil) -> Output {
  rowwise(logits, labels, isSparse: false) { logits, labels in
    logits.graph.add(SoftmaxCrossEntropyWithLogits(), [logits, labels], name: name)[0]
  }
}

/// The cross entropy between classes `labels` and the softmax of `logits` along the last dimension.
///
/// - Parameter labels: `int32` or `int64`, of the shape of `logits` without the last dimension.
/// - Returns: a loss for each label, of the shape of `labels`. A run with a label outside `0 ..< classes` throws.
public func sparseSoftmaxCrossEntropy(logits: Output, labels: Output, name: String? = nil) -> Output {
  rowwise(logits, labels, isSparse: true) { logits, labels in
    logits.graph.add(SparseSoftmaxCrossEntropyWithLogits(), [logits, labels], name: name)[0]
  }
}

/// Applies what works on rows of a matrix to arrays of any rank.
private func rowwise(
  _ logits: Output, _ labels: Output, isSparse: Bool, _ body: (Output, Output) -> Output
) -> Output {
  guard let rank = logits.rank, rank > 0, rank != 2, labels.rank ?? rank == (isSparse ? rank - 1 : rank) else {
    return body(logits, labels)
  }
  let extents = shapeVector(of: logits)
  let matrix = concat([extents.vector([-1]), extents[(rank - 1)...]], axis: 0)
  let losses = body(
    reshape(logits, to: matrix), isSparse ? reshape(labels, [-1]) : reshape(labels, to: matrix))
  return reshape(losses, to: extents[..<(rank - 1)])
}
