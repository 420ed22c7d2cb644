import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The elements as another type. Floats are truncated towards zero to integers and saturate, NaN becomes 0; integers wrap
/// to narrower ones; all but zero is true.
public struct Cast: Elementwise {
  public var type = ElementType.float32
  /// Whether the result is one of arithmetic in `type`, whose rounding may be left out within a kernel; nil if not.
  public var isRelaxed: Bool?
  public init() {}
  public init(to type: ElementType) { self.type = type }
  /// Rounds what was computed in another type for elements of a type of 16 bits, as operations on that type do themselves.
  public init(narrowing type: ElementType) { (self.type, isRelaxed) = (type, true) }
  public static let schema = Schema(
    "Cast", inputs: ["x": "SrcT"], outputs: ["y": "DstT"], types: ["SrcT": .any, "DstT": .any],
    traits: [.pure, .elementwise])
  public static let attributeTable: AttributeTable<Cast> = [
    AttributeField("DstT", \.type), AttributeField(optional: "_relaxed", \.isRelaxed),
  ]

  public func resultType(_ operands: [ElementType]) -> ElementType { type }
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    isRelaxed == true ? b.narrow(x[0], to: type) : b.cast(x[0], to: type)
  }

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    // Between the integers that shapes are made of, what is known stays known.
    let isIndex = type == .int32 || type == .int64
    let fits = operands[0].known?.elements.allSatisfy { $0.known.map { Int32(exactly: $0) != nil } ?? true } ?? false
    return [Inference(type, operands[0].shape, known: isIndex && (fits || type == .int64) ? operands[0].known : nil)]
  }
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    guard g.operands[0].elementType.isFloatingPoint, type.isFloatingPoint else { return [.none] }
    return [.dense(cast(g.dy, to: g.operands[0].elementType))]
  }
}

/// The elements as another type; `x` itself if they have it already. Floats are truncated towards zero to integers and
/// saturate, NaN becomes 0; integers wrap to narrower ones; all but zero is true.
public func cast(_ x: Output, to type: ElementType, name: String? = nil) -> Output {
  if case .tensor(let old) = x.type, old.elementType == type { return x }
  return x.graph.addOne(Cast(to: type), [x], name: name)
}
