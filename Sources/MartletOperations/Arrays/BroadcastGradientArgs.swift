import MartletDiagnostics
import MartletGraph
import MartletTensors

/// The axes over which the gradients of two operands that were broadcast together are summed, from the operands' shapes.
///
/// Martlet's own gradients use `SumToShape`; this is how TensorFlow writes it.
public struct BroadcastGradientArgs: Operation {
  public init() {}
  public static let schema = Schema(
    "BroadcastGradientArgs", inputs: ["s0": "T", "s1": "T"], outputs: ["r0": "T", "r1": "T"], types: ["T": .index])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let type = operands[0].elementType ?? .int32
    for (operand, name) in zip(operands, ["s0", "s1"]) { _ = try operand.shape(ofRank: 1, name) }
    guard let axes = try Self.axes(operands) else { return [Inference(type, [nil]), Inference(type, [nil])] }
    return [axes.0, axes.1].map { list in
      Inference(type, Shape([list.count]), known: KnownValue(vector: list.map { Dimension($0) }))
    }
  }

  /// The axes of the broadcast result that each operand was stretched along; nil where the shapes do not tell.
  private static func axes(_ operands: [Operand]) throws(Diagnostic) -> ([Int], [Int])? {
    guard let first = operands[0].elements, let second = operands[1].elements else { return nil }
    if first == second { return ([], []) }
    let rank = max(first.count, second.count)
    var axes: (first: [Int], second: [Int]) = ([], [])
    for axis in 0..<rank {
      let (i, j) = (axis - rank + first.count, axis - rank + second.count)
      let (a, b) = (i < 0 ? 1 : first[i], j < 0 ? 1 : second[j])
      if a.known == 1 { axes.first.append(axis) }
      if b.known == 1 { axes.second.append(axis) }
      if a == b || a.known == 1 || b.known == 1 { continue }
      guard a.known != nil, b.known != nil else { return nil }
      throw Diagnostic(
        "must be a shape that goes with \(Shape(first))", operand: "s1", found: "\(Shape(second))")
    }
    return axes
  }

  public var differentiation: Differentiation { .none("axes do not vary with the elements") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let lists = [try l.integers(0, "s0"), try l.integers(1, "s1")]
    let type = l.results[0].elementType
    guard let axes = try Self.axes(l.operands) else { preconditionFailure("\(lists) are known") }
    return .composite { expansion throws(Diagnostic) in
      [axes.0, axes.1].map { expansion.graph.constant(Tensor($0, shape: [$0.count], as: type)) }
    }
  }
}
