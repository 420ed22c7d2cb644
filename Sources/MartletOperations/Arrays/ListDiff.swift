import MartletDiagnostics
import MartletGraph
import MartletTensors

/// The elements of a vector that another does not have, and their positions, in their order.
///
/// As TensorFlow's gradients have it for lists of axes: the elements must be known when the graph is compiled.
public struct ListDiff: Operation {
  /// Of the positions.
  public var indexType = ElementType.int32
  public init() {}
  public static let schema = Schema(
    "ListDiff", inputs: ["x": "T", "y": "T"], outputs: ["out": "T", "idx": "out_idx"],
    types: ["T": .index, "out_idx": .index])
  public static let attributeTable: AttributeTable<ListDiff> = [AttributeField("out_idx", \.indexType)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let type = operands[0].elementType ?? .int32
    for (operand, name) in zip(operands, ["x", "y"]) { _ = try operand.shape(ofRank: 1, name) }
    guard let x = Self.integers(operands[0]), let y = Self.integers(operands[1]) else {
      return [Inference(type, [nil]), Inference(indexType, [nil])]
    }
    return zip([type, indexType], Self.difference(x, y)).map { type, list in
      Inference(type, Shape([list.count]), known: KnownValue(vector: list.map { Dimension($0) }))
    }
  }

  private static func integers(_ operand: Operand) -> [Int]? {
    guard let elements = operand.elements else { return nil }
    let known = elements.compactMap(\.known)
    return known.count == elements.count ? known : nil
  }

  /// What x has alone, and where.
  private static func difference(_ x: [Int], _ y: [Int]) -> [[Int]] {
    let other = Set(y)
    let positions = x.indices.filter { !other.contains(x[$0]) }
    return [positions.map { x[$0] }, positions]
  }

  public var differentiation: Differentiation { .none("integers do not vary") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let lists = Self.difference(try l.integers(0, "x"), try l.integers(1, "y"))
    let types = l.results.map(\.elementType)
    return .composite { expansion throws(Diagnostic) in
      zip(lists, types).map { expansion.graph.constant(Tensor($0, shape: [$0.count], as: $1)) }
    }
  }
}
