import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The sums of the sub-arrays of `data` that belong to each segment: sub-array i is added to segment `segment_ids[i]` of the
/// result; those with a negative number are left out, as are those beyond the last segment.
public struct UnsortedSegmentSum: Operation {
  public init() {}
  public static let schema = Schema(
    "UnsortedSegmentSum", inputs: ["data": "T", "segment_ids": "Tindices", "num_segments": "Tnumsegments"],
    outputs: ["output": "T"], types: ["T": .numeric, "Tindices": .index, "Tnumsegments": .index])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let type = operands[0].elementType ?? .float32
    _ = try operands[2].shape(ofRank: 0, "num_segments")
    if let count = operands[2].integer, count < 0 {
      throw Diagnostic("", operand: "num_segments", required: "a number of 0 or more", found: "\(count)")
    }
    guard let data = operands[0].shape.dimensions, let indices = operands[1].shape.dimensions else {
      return [Inference(type, .unknown)]
    }
    guard indices.count <= data.count,
      Shape(Array(data[..<indices.count])).isCompatible(with: operands[1].shape)
    else {
      throw Diagnostic(
        "", operand: "segment_ids", required: "the first dimensions of 'data' \(operands[0].shape)",
        found: "\(operands[1].type)")
    }
    let count = operands[2].elements?.first ?? .fresh()
    return [Inference(type, Shape([count] + data[indices.count...]))]
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let indices = g.operands[1]
    guard let rank = indices.rank, let dataRank = g.operands[0].rank else {
      throw Diagnostic("the gradient of UnsortedSegmentSum needs ranks to be known", operand: "segment_ids")
    }
    let count = cast(g.operands[2], to: indices.elementType)
    let isInside = (indices .>= 0) .& (indices .< count)
    let rows = gather(g.dy, select(isInside, indices, indices.scalar(0)))
    let ones = g.graph.constant([Int](repeating: 1, count: dataRank - rank))
    let mask = reshape(isInside, to: concat([shapeVector(of: indices), ones], axis: 0))
    return [.dense(select(mask, rows, rows.scalar(0))), .none, .none]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    _ = try l.integers(2, "num_segments")
    let (data, indices) = (l.operandTypes[0], l.operandTypes[1])
    let rank = indices.extents.count
    var b = l.builder()
    let result = b.scatter("UnsortedSegmentSum", data.elementType, l.resultShape(0), updates: data.extents) { b, _ in
      b.constant(0, data.elementType)
    } position: { b, axes in
      [b.cast(b.load(.input(1), indices.elementType, at: Array(axes[..<rank])), to: .int64)] + axes[rank...]
    } combine: { b, state, axes in
      b.add(state, b.load(.input(0), data.elementType, at: axes))
    }
    return .compute(b.finish([result]))
  }
}

/// The sums of the sub-arrays of `data` that belong to each of `count` segments: sub-array i is added to segment
/// `indices[i]`; those with a negative number are left out.
public func unsortedSegmentSum(_ data: Output, _ indices: Output, count: Output, name: String? = nil) -> Output {
  data.graph.addOne(UnsortedSegmentSum(), [data, indices, count], name: name)
}
