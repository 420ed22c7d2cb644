import MartletDiagnostics
import MartletGraph
import MartletTensors

/// A value that is fed at each run.
public struct Placeholder: Operation {
  public var elementType = ElementType.float32
  /// What is known of the shape; extents that are not may differ from run to run.
  public var shape = Shape.unknown

  public init() {}
  public init(_ elementType: ElementType, shape: Shape) { (self.elementType, self.shape) = (elementType, shape) }

  public static let schema = Schema(
    "Placeholder", inputs: [:], outputs: ["output": "dtype"], types: ["dtype": .any], traits: [.pure, .placeholder])
  public static let attributeTable: AttributeTable<Placeholder> = [
    AttributeField("dtype", \.elementType), AttributeField("shape", \.shape),
  ]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    [Inference(elementType, shape)]
  }
  public var differentiation: Differentiation { .none("it has no operands") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { .bound }
}

/// A value that may be fed; where it is not, it is the operand's.
public struct PlaceholderWithDefault: Operation {
  /// What is known of the shape of a feed.
  public var shape = Shape.unknown

  public init() {}
  public init(shape: Shape) { self.shape = shape }

  public static let schema = Schema(
    "PlaceholderWithDefault", inputs: ["input": "dtype"], outputs: ["output": "dtype"], types: ["dtype": .any],
    traits: [.pure, .defaulting])
  public static let attributeTable: AttributeTable<PlaceholderWithDefault> = [AttributeField("shape", \.shape)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    guard shape.isCompatible(with: operands[0].shape) else {
      throw Diagnostic(
        "the default has another shape", operand: "input", required: "the shape \(shape)", found: "\(operands[0].type)")
    }
    // Nothing is known of the elements, and no more of the shape than the attribute says: a feed may differ.
    return [Inference(operands[0].elementType ?? .float32, shape)]
  }
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] { [.dense(g.dy)] }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { l.unchanged() }
}

extension Graph {
  /// A value that is fed at each run. Extents given as nil may differ from run to run.
  public func placeholder(_ type: ElementType, shape: Shape = .unknown, name: String? = nil) -> Output {
    addOne(Placeholder(type, shape: shape), name: name)
  }

  /// A value that may be fed, and is `value` where it is not.
  ///
  /// - Parameter shape: what feeds may look like; as the default by default.
  public func placeholder(defaultingTo value: Output, shape: Shape? = nil, name: String? = nil) -> Output {
    addOne(PlaceholderWithDefault(shape: shape ?? value.shape), [value], name: name)
  }
}
