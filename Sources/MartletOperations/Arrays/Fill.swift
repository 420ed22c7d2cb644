import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// An array of the shape `dims` in which every element is `value`.
public struct Fill: Operation {
  public init() {}
  public static let schema = Schema(
    "Fill", inputs: ["dims": "index_type", "value": "T"], outputs: ["output": "T"],
    types: ["T": .any, "index_type": .index])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    _ = try operands[1].shape(ofRank: 0, "value")
    let shape = try operands[0].shapeValue("dims")
    var known: KnownValue?
    if let extents = shape.known, extents.count <= 1, let value = operands[1].known,
      extents.reduce(1, *) <= KnownValue.maximumCount
    {
      known = KnownValue(Array(repeating: value.elements[0], count: extents.reduce(1, *)), shape: extents)
    }
    return [Inference(operands[1].elementType ?? .float32, shape, known: known)]
  }
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    [.none, .dense(sumToShape(g.dy, g.dy.vector([])))]
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.results[0].elementType
    var b = l.builder()
    let result = b.map("Fill", type, l.resultShape(0)) { b, _ in b.load(.input(1), type, at: []) }
    return .compute(b.finish([result]))
  }
}

/// An array of zeros with the operand's type and shape.
public struct ZerosLike: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "ZerosLike", types: .any)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.constant(0, x[0].type) }
  public func known(_ x: [Dimension]) -> Dimension? { 0 }
  public var differentiation: Differentiation { .none("the result is constant") }
}

/// An array of ones with the operand's type and shape.
public struct OnesLike: Elementwise {
  public init() {}
  public static let schema = Schema(unary: "OnesLike", types: .any)
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.constant(1, x[0].type) }
  public func known(_ x: [Dimension]) -> Dimension? { 1 }
  public var differentiation: Differentiation { .none("the result is constant") }
}

/// An array of this shape in which every element is `value`, a scalar.
public func fill(_ shape: [Int], with value: Output, name: String? = nil) -> Output {
  fill(value.vector(shape), with: value, name: name)
}

/// An array, of the shape that a vector gives, in which every element is `value`, a scalar.
public func fill(_ shape: Output, with value: Output, name: String? = nil) -> Output {
  value.graph.addOne(Fill(), [shape, value], name: name)
}

/// Zeros of the type and shape of `x`.
public func zerosLike(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(ZerosLike(), [x], name: name) }

/// Ones of the type and shape of `x`.
public func onesLike(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(OnesLike(), [x], name: name) }
