import MartletDiagnostics
import MartletGraph
import MartletTensors

/// Ends the run with an error that shows `data` unless a condition holds.
public struct Assert: ExportedOperation {
  /// How many elements of each array the error shows; all if negative.
  public var summarize = 3
  public init() {}
  public init(summarize: Int) { self.summarize = summarize }
  public static let schema = Schema("Assert", inputs: ["condition": "bool", "data": "[T]"], outputs: [:], traits: [])
  public static let attributeTable: AttributeTable<Assert> = [AttributeField("summarize", \.summarize)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    _ = try operands[0].shape(ofRank: 0, "condition")
    return []
  }
  public var differentiation: Differentiation { .none("it has no results") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let (limit, name) = (summarize, l.name)
    return .host(
      HostFunction(effect: "assert") { arrays in
        guard arrays[0].item(as: Bool.self) else {
          let data = arrays.dropFirst().map { Self.summary($0, limit: limit) }
          throw Diagnostic(
            "the assertion does not hold", operation: "Assert '\(name)'",
            found: data.isEmpty ? nil : data.joined(separator: ", "))
        }
        return []
      })
  }

  /// TensorFlow's has to show something.
  public func exported(_ expansion: Expansion) throws(Diagnostic) -> [Output]? {
    guard expansion.operands.count == 1 else { return nil }
    return expansion.graph.add(self, expansion.operands + expansion.operands)
  }

  /// The first elements of an array.
  private static func summary(_ array: Tensor, limit: Int) -> String {
    let count = limit < 0 ? array.elementCount : min(limit, array.elementCount)
    let elements: [String] =
      if array.elementType == .bool {
        array.scalars(as: Bool.self).prefix(count).map { "\($0)" }
      } else if let integers = array.integers() {
        integers.prefix(count).map { "\($0)" }
      } else if array.elementType == .float32 {
        array.scalars(as: Float.self).prefix(count).map { "\($0)" }
      } else {
        array.doubles().prefix(count).map { "\($0)" }
      }
    let text = elements.joined(separator: ", ")
    if array.rank == 0 { return text }
    return "[\(text)\(count < array.elementCount ? ", …" : "")]"
  }
}

/// The node that ends the run with an error that shows `data` unless `condition`, a Boolean scalar, holds. It runs where a
/// run asks for it, or what follows it by control dependencies.
///
/// - Parameter summarize: how many elements of each array are shown; all if negative.
@discardableResult
public func assertTrue(
  _ condition: Output, _ data: [Output] = [], summarize: Int = 3, name: String? = nil
) -> GraphNode {
  condition.graph.addNode(Assert(summarize: summarize), [condition] + data, name: name)
}
