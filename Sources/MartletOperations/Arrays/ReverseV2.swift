import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// An array with the order of its elements reversed along the axes listed.
public struct ReverseV2: Operation {
  public init() {}
  public static let schema = Schema(
    "ReverseV2", inputs: ["tensor": "T", "axis": "Tidx"], outputs: ["output": "T"],
    types: ["T": .any, "Tidx": .index])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    _ = try operands[1].shape(ofRank: 1, "axis")
    var known: KnownValue?
    if let axes = operands[1].integers, let rank = operands[0].shape.rank {
      let isReversed = try Self.axes(axes, rank: rank)
      if rank == 1, let value = operands[0].known {
        known = isReversed[0] ? KnownValue(vector: value.elements.reversed()) : value
      }
    }
    return [Inference(operands[0].elementType ?? .float32, operands[0].shape, known: known)]
  }

  /// Whether each axis is among those listed.
  private static func axes(_ axes: [Int], rank: Int) throws(Diagnostic) -> [Bool] {
    var result = [Bool](repeating: false, count: rank)
    for axis in axes {
      let i = try normalizedAxis(axis, rank: rank, "axis")
      guard !result[i] else {
        throw Diagnostic("", operand: "axis", required: "each axis at most once", found: "\(axes)")
      }
      result[i] = true
    }
    return result
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    [.dense(reverse(g.dy, axes: g.operands[1])), .none]
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.operandTypes[0]
    let isReversed = try Self.axes(l.integers(1, "axis"), rank: type.extents.count)
    var b = l.builder()
    let result = b.map("ReverseV2", type.elementType, type.extents) { b, axes in
      let indices = axes.enumerated().map { i, axis in
        isReversed[i] ? b.subtract(b.integer(type.extents[i] - 1), axis) : axis
      }
      return b.load(.input(0), type.elementType, at: indices)
    }
    return .view(b.finish([result]))
  }
}

/// An array with the order of its elements reversed along `axes`.
public func reverse(_ x: Output, axes: [Int], name: String? = nil) -> Output {
  reverse(x, axes: x.vector(axes), name: name)
}

/// An array with the order of its elements reversed along the axes that a vector lists.
public func reverse(_ x: Output, axes: Output, name: String? = nil) -> Output {
  x.graph.addOne(ReverseV2(), [x, axes], name: name)
}
