import Martlet

/// The products of each element of one vector with each of another: a matrix.
///
/// An operation that is not elementwise says itself what its result's shape is, and how it is computed.
struct OuterProduct: Operation {
  static let schema = Schema(
    "OuterProduct", inputs: ["x": "T", "y": "T"], outputs: ["product": "T"], types: ["T": .floating])

  /// The shape rule. Extents may be unknown; a mistake is reported with the line of the program that made it.
  func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    var extents: [Dimension] = []
    for (operand, name) in zip(operands, ["x", "y"]) {
      guard operand.shape.rank ?? 1 == 1 else {
        throw Diagnostic("", operand: name, required: "a vector", found: "\(operand.type)")
      }
      extents.append(operand.shape.rank == nil ? .fresh() : operand.shape[0])
    }
    return [Inference(operands[0].elementType ?? .float32, Shape(extents))]
  }

  func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (x, y) = (g.operands[0], g.operands[1])
    return [
      .dense(sum(g.dy * expandDims(y, axis: 0), axes: [1])),
      .dense(sum(g.dy * expandDims(x, axis: 1), axes: [0])),
    ]
  }

  /// How it runs: here every dimension is known.
  func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.results[0].elementType
    var b = l.builder()
    let product = b.map("OuterProduct", type, l.resultShape(0)) { b, axes in
      b.multiply(b.load(.input(0), type, at: [axes[0]]), b.load(.input(1), type, at: [axes[1]]))
    }
    return .compute(b.finish([product]))
  }
}

func outerProduct(_ x: Output, _ y: Output, name: String? = nil) -> Output {
  x.graph.addOne(OuterProduct(), [x, y], name: name)
}
