import MartletDiagnostics
import MartletGraph
import MartletTensors

/// An array that is part of the graph.
public struct Const: Operation {
  public var value = Constant(Tensor(Float(0)))

  public init() {}
  public init(_ tensor: Tensor) { value = Constant(tensor) }
  public init(_ constant: Constant) { value = constant }

  public static let schema = Schema(
    "Const", inputs: [:], outputs: ["output": "dtype"], types: ["dtype": .any], traits: [.pure, .constant])
  public static let attributeTable: AttributeTable<Const> = [AttributeField("value", \.value)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    [
      Inference(
        .tensor(value.type),
        known: value.elementCount <= KnownValue.maximumCount ? KnownValue(value.tensor) : nil)
    ]
  }
  public var differentiation: Differentiation { .none("it has no operands") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { .constant(value) }
}
