import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// Where each of several arrays begins in the array that joins them along an axis, from their shapes.
///
/// Martlet's own gradients know extents; this is how TensorFlow writes the gradient of `ConcatV2`.
public struct ConcatOffset: Operation {
  public init() {}
  public static let schema = Schema(
    "ConcatOffset", inputs: ["concat_dim": "int32", "shape": "N*shape_type"], outputs: ["offset": "N*shape_type"],
    types: ["shape_type": .index])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    _ = try operands[0].shape(ofRank: 0, "concat_dim")
    let shapes = Array(operands.dropFirst())
    guard let first = shapes.first else {
      throw Diagnostic("", operand: "shape", required: "at least one shape", found: "none")
    }
    var shape = first.shape
    for (i, operand) in shapes.enumerated() {
      _ = try operand.shape(ofRank: 1, "shape[\(i)]")
      guard let both = shape.merged(with: operand.shape) else {
        throw Diagnostic(
          "the shapes have different ranks", operand: "shape[\(i)]", required: "\(first.type)", found: "\(operand.type)"
        )
      }
      shape = both
    }
    let type = first.elementType ?? .int32
    guard let rank = shape.known?[0], let axis = try operands[0].axis(of: rank, "concat_dim") else {
      return shapes.map { _ in Inference(type, shape) }
    }
    for (i, operand) in shapes.enumerated() {
      guard let extents = operand.elements, let others = first.elements else { continue }
      for (place, pair) in zip(extents, others).enumerated() where place != axis && pair.0.known != pair.1.known {
        guard pair.0.known != nil, pair.1.known != nil else { continue }
        throw Diagnostic(
          "the shapes differ beside the axis \(axis)", operand: "shape[\(i)]", required: "\(Shape(others))",
          found: "\(Shape(extents))")
      }
    }
    var start: Dimension? = 0
    return shapes.map { operand in
      defer { start = start.flatMap { start in operand.elements.map { start + $0[axis] } } }
      let known = start.map { start in KnownValue(vector: (0..<rank).map { $0 == axis ? start : 0 }) }
      return Inference(type, shape, known: known)
    }
  }

  public var differentiation: Differentiation { .none("its operands are integers") }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let (rank, count) = (l.resultShape(0)[0], l.operands.count - 1)
    let type = l.results[0].elementType
    var b = l.builder()
    // A negative axis counts from the end.
    let results = (0..<count).map { i in
      b.map("ConcatOffset", type, [rank]) { b, axes in
        let given = b.cast(b.load(.input(0), .int32, at: []), to: .int64)
        let counted = b.select(b.less(given, b.integer(0)), b.add(given, b.integer(rank)), given)
        let axis = b.checkIndex(counted, extent: rank)
        var sum = b.integer(0, type)
        for before in 0..<i { sum = b.add(sum, b.load(.input(before + 1), type, at: axes)) }
        return b.select(b.equal(axes[0], axis), sum, b.integer(0, type))
      }
    }
    return .compute(b.finish(results))
  }
}
