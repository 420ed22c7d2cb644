import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The sub-arrays of `params` that `indices` choose along `axis`.
///
/// The result has the shape `params.shape[..<axis] + indices.shape[batch_dims...] + params.shape[axis + 1...]`; the first
/// `batch_dims` dimensions of both operands go together. A run with an index outside the array throws.
public struct GatherV2: Operation {
  public var batchDims = 0
  public init() {}
  public init(batchDims: Int) { self.batchDims = batchDims }
  public static let schema = Schema(
    "GatherV2", inputs: ["params": "Tparams", "indices": "Tindices", "axis": "Taxis"],
    outputs: ["output": "Tparams"], types: ["Tparams": .any, "Tindices": .index, "Taxis": .index])
  public static let attributeTable: AttributeTable<GatherV2> = [AttributeField("batch_dims", \.batchDims)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let type = operands[0].elementType ?? .float32
    let axis = try operands[2].axis(of: operands[0].shape.rank, "axis")
    guard let params = operands[0].shape.dimensions, let indices = operands[1].shape.dimensions else {
      return [Inference(type, .unknown)]
    }
    let batch = try batchCount(indices.count)
    guard let axis else {
      return [Inference(type, Shape(unknownOfRank: params.count + indices.count - batch - 1))]
    }
    guard batch <= axis else {
      throw Diagnostic("", operand: "axis", required: "an axis behind the \(batch) batch dimensions", found: "\(axis)")
    }
    guard let lead = Shape(Array(params[..<batch])).merged(with: Shape(Array(indices[..<batch]))) else {
      throw Diagnostic(
        "", operand: "indices", required: "the batch dimensions \(Shape(Array(params[..<batch]))) of 'params'",
        found: "\(operands[1].type)")
    }
    let shape = (lead.dimensions ?? []) + params[batch..<axis] + indices[batch...] + params[(axis + 1)...]
    return [Inference(type, Shape(shape), known: try known(operands, Shape(shape)))]
  }

  /// The elements that known indices choose of a known vector.
  private func known(_ operands: [Operand], _ shape: Shape) throws(Diagnostic) -> KnownValue? {
    guard let value = operands[0].known, value.shape.count == 1, let places = operands[1].integers,
      let extents = shape.known
    else { return nil }
    var elements: [Dimension] = []
    for place in places {
      guard value.elements.indices.contains(place) else {
        throw Diagnostic(
          "", operand: "indices", required: "positions from 0 to \(value.elements.count - 1)", found: "\(place)")
      }
      elements.append(value.elements[place])
    }
    return KnownValue(elements, shape: extents)
  }

  /// The number of batch dimensions; a negative attribute counts from the end of the indices' dimensions.
  private func batchCount(_ rank: Int) throws(Diagnostic) -> Int {
    guard batchDims >= -rank, batchDims <= rank else {
      throw Diagnostic("attribute 'batch_dims' must lie between \(-rank) and \(rank)", found: "\(batchDims)")
    }
    return batchDims < 0 ? batchDims + rank : batchDims
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let (params, indices) = (g.operands[0], g.operands[1])
    guard let rank = params.rank, let indexRank = indices.rank,
      let axis = try g.operands[2].operand.axis(of: rank, "axis")
    else {
      throw Diagnostic(
        "the gradient of GatherV2 needs the ranks and the axis to be known", found: "\(params.type), \(indices.type)")
    }
    let batch = try batchCount(indexRank)
    let extents = shapeVector(of: params)
    if axis == 0 {
      let rows = concat([extents.vector([-1]), extents[1...]], axis: 0)
      return [
        .slices(values: reshape(g.dy, to: rows), indices: reshape(indices, [-1]), shape: extents), .none, .none,
      ]
    }
    // The indices' dimensions go in front of those between the batch and the axis …
    let count = indexRank - batch
    let order = Array(0..<batch) + (axis..<axis + count) + (batch..<axis) + (axis + count..<rank - 1 + count)
    let dy = transpose(g.dy, permutation: order)
    let others = concat([extents[batch..<axis], extents[(axis + 1)...]], axis: 0)
    // … so that batches and indices together number the rows of a sum by segments.
    let extent = extents[axis]
    var segments = indices
    var batches = extents.integer(1)
    if batch > 0 {
      let batchShape = extents[..<batch]
      batches = size(of: fill(batchShape, with: extents.integer(0)))
      let offsets = cast(range(extents.integer(0), batches) * extent, to: indices.elementType)
      let ones = g.graph.constant([Int](repeating: 1, count: count))
      segments = indices + reshape(offsets, to: concat([batchShape, ones], axis: 0))
    }
    let values = reshape(dy, to: concat([extents.vector([-1]), others], axis: 0))
    let sums = unsortedSegmentSum(values, reshape(segments, [-1]), count: batches * extent)
    let back = reshape(sums, to: concat([extents[..<batch], reshape(extent, [1]), others], axis: 0))
    if axis == batch { return [.dense(back), .none, .none] }
    let places = Array(0..<batch) + (batch + 1..<axis + 1) + [batch] + (axis + 1..<rank)
    return [.dense(transpose(back, permutation: places)), .none, .none]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let (params, indices) = (l.operandTypes[0], l.operandTypes[1])
    let axis = try l.axis(2, of: params.extents.count, "axis")
    let batch = try batchCount(indices.extents.count)
    let count = indices.extents.count - batch
    let extents = l.resultShape(0)
    if params.extents[axis] == 0, !extents.contains(0) {
      throw Diagnostic("", operand: "params", required: "elements along axis \(axis)", found: "\(l.operands[0].type)")
    }
    var b = l.builder()
    let result = b.map("GatherV2", params.elementType, extents) { b, axes in
      let place = Array(axes[..<batch]) + axes[axis..<axis + count]
      let index = b.cast(b.load(.input(1), indices.elementType, at: place), to: .int64)
      let position = b.checkIndex(index, extent: params.extents[axis])
      let all = Array(axes[..<axis]) + [position] + axes[(axis + count)...]
      return b.load(.input(0), params.elementType, at: all)
    }
    return .compute(b.finish([result]))
  }
}

/// The sub-arrays of `params` that the integers `indices` choose along `axis`.
///
/// The result has the shape `params.shape[..<axis] + indices.shape[batchDims...] + params.shape[axis + 1...]`; the first
/// `batchDims` dimensions of both go together. A run with an index outside the array throws.
public func gather(
  _ params: Output, _ indices: Output, axis: Int = 0, batchDims: Int = 0, name: String? = nil
) -> Output {
  params.graph.addOne(GatherV2(batchDims: batchDims), [params, indices, params.integer(axis)], name: name)
}
