import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// An array with zeros around it: `paddings[i]` holds how many go before and behind along axis i.
public struct Pad: Operation {
  public init() {}
  public static let schema = Schema(
    "Pad", inputs: ["input": "T", "paddings": "Tpaddings"], outputs: ["output": "T"],
    types: ["T": .any, "Tpaddings": .index])
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    [Inference(operands[0].elementType ?? .float32, try paddedShape(operands))]
  }
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    [.dense(unpadded(g.dy, g)), .none]
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    try l.padded("Pad") { b in b.constant(0, l.results[0].elementType) }
  }
}

/// An array with elements of one value around it: `paddings[i]` holds how many go before and behind along axis i.
public struct PadV2: Operation {
  public init() {}
  public static let schema = Schema(
    "PadV2", inputs: ["input": "T", "paddings": "Tpaddings", "constant_values": "T"], outputs: ["output": "T"],
    types: ["T": .any, "Tpaddings": .index])
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    _ = try operands[2].shape(ofRank: 0, "constant_values")
    return [Inference(operands[0].elementType ?? .float32, try paddedShape(operands))]
  }
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let inner: Cotangent = g.isNeeded[0] ? .dense(unpadded(g.dy, g)) : .none
    guard g.isNeeded[2] else { return [inner, .none, .none] }
    // The value's cotangent is the sum over all places outside the array.
    let inside = cast(zerosLike(g.operands[0]), to: .bool)
    let isOutside = g.graph.addOne(PadV2(), [inside, g.operands[1], g.graph.constant(true)])
    let outside = select(isOutside, g.dy, g.dy.scalar(0))
    return [inner, .none, .dense(sumToShape(outside, g.dy.vector([])))]
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    try l.padded("PadV2") { b in b.load(.input(2), l.results[0].elementType, at: []) }
  }
}

/// The padded array's shape, from an array and its paddings.
private func paddedShape(_ operands: [Operand]) throws(Diagnostic) -> Shape {
  let paddings = try operands[1].shape(ofRank: 2, "paddings")
  guard paddings[1].known ?? 2 == 2 else {
    throw Diagnostic("", operand: "paddings", required: "two numbers for each dimension", found: "\(operands[1].type)")
  }
  guard let rank = operands[0].shape.rank ?? paddings[0].known else { return .unknown }
  if let rows = paddings[0].known, rows != rank {
    throw Diagnostic("", operand: "paddings", required: "\(rank) rows, one for each dimension", found: "\(rows) rows")
  }
  guard let elements = operands[1].elements else { return try .unknown(ofRank: rank, "paddings") }
  guard elements.allSatisfy({ ($0.known ?? 0) >= 0 }) else {
    throw Diagnostic("", operand: "paddings", required: "numbers of 0 or more", found: "\(elements)")
  }
  guard let extents = operands[0].shape.dimensions else { return try .unknown(ofRank: rank, "paddings") }
  return Shape(extents.indices.map { elements[2 * $0] + extents[$0] + elements[2 * $0 + 1] })
}

/// The part of a padded array's cotangent that belongs to the array.
private func unpadded(_ dy: Output, _ g: GradientContext) -> Output {
  let (x, paddings) = (g.operands[0], g.operands[1])
  if let all = paddings.operand.integers, let extents = x.shape.known {
    return slice(dy, begin: extents.indices.map { all[2 * $0] }, size: extents)
  }
  let type = paddings.elementType
  let begin: Output
  if let all = paddings.operand.integers {
    begin = cast(x.graph.constant(stride(from: 0, to: all.count, by: 2).map { all[$0] }), to: type)
  } else {
    begin = unstack(paddings, count: 2, axis: 1)[0]
  }
  return slice(dy, begin: begin, size: shape(of: x, type: type))
}

extension LoweringContext {
  fileprivate func padded(_ name: String, _ value: (inout ScalarBuilder) -> Scalar) throws(Diagnostic) -> Lowering {
    let paddings = try integers(1, "paddings")
    let type = operandTypes[0]
    let extents = resultShape(0)
    var b = builder()
    let result = b.map(name, type.elementType, extents) { b, axes in
      var indices = axes
      var isInside: Scalar?
      func require(_ condition: Scalar) { isInside = isInside.map { b.and($0, condition) } ?? condition }
      for (i, extent) in type.extents.enumerated() {
        let (before, after) = (paddings[2 * i], paddings[2 * i + 1])
        if before > 0 {
          indices[i] = b.subtract(axes[i], b.integer(before))
          require(b.lessEqual(b.integer(before), axes[i]))
        }
        if after > 0 { require(b.less(axes[i], b.integer(before + extent))) }
      }
      guard let isInside else { return b.load(.input(0), type.elementType, at: indices) }
      let element = b.load(.input(0), type.elementType, at: indices, if: isInside)
      return b.select(isInside, element, value(&b))
    }
    return .compute(b.finish([result]))
  }
}

/// An array with zeros around it, or elements of another value, a scalar of its type.
///
/// - Parameter paddings: for each dimension how many elements go before and behind it.
public func pad(
  _ x: Output, _ paddings: [(before: Int, after: Int)], value: Output? = nil, name: String? = nil
) -> Output {
  let numbers = paddings.flatMap { [$0.before, $0.after] }
  return pad(x, paddings: x.graph.constant(numbers, shape: [paddings.count, 2]), value: value, name: name)
}

/// An array with zeros around it, or elements of another value; row i of the matrix `paddings` holds how many go before
/// and behind along axis i.
public func pad(_ x: Output, paddings: Output, value: Output? = nil, name: String? = nil) -> Output {
  if let value { return x.graph.addOne(PadV2(), [x, paddings, value], name: name) }
  return x.graph.addOne(Pad(), [x, paddings], name: name)
}
