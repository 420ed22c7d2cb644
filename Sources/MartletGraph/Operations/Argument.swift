import MartletDiagnostics
import MartletTensors

/// An argument of a sub-graph, or a feed of the main one: a value that is bound from outside.
public struct Argument: Operation {
  /// Its place among the arguments.
  public var index = 0
  public var type: ValueType = .tensor(.float32, .unknown)

  public init() {}
  public init(index: Int, type: ValueType) { (self.index, self.type) = (index, type) }

  public static var schema: Schema {
    Schema("_Arg", inputs: [:], outputs: ["output": "T"], types: ["T": .any], traits: [.pure, .argument])
  }
  public static var attributeTable: AttributeTable<Argument> {
    [
      AttributeField("index", \.index), AttributeField("T", \.elementType), AttributeField("shape", \.shape),
      AttributeField("resource", \.isResource),
    ]
  }
  private var elementType: ElementType {
    get { type.elementType ?? .float32 }
    set { type = isResource ? .resource(TensorType(newValue, shape)) : .tensor(newValue, shape) }
  }
  private var shape: Shape {
    get { type.shape }
    set { type = isResource ? .resource(TensorType(elementType, newValue)) : .tensor(elementType, newValue) }
  }
  private var isResource: Bool {
    get { if case .resource = type { true } else { false } }
    set { type = newValue ? .resource(TensorType(elementType, shape)) : .tensor(elementType, shape) }
  }

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    [Inference(type)]
  }
  public var differentiation: Differentiation { .none("it has no operands") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { .bound }
}
