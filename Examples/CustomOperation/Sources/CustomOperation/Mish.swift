import Martlet

/// The activation x · tanh(log(1 + eˣ)). (Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", 2019.)
///
/// An elementwise operation says what it does to one element. The shape rule, machine code, fusion with its neighbours and
/// folding of constants follow from that.
struct Mish: Elementwise {
  static let schema = Schema(unary: "Mish", types: .floating)

  func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar {
    // log(1 + eˣ) = max(x, 0) + log(1 + e^-|x|), which cannot overflow.
    let tail = b.log1p(b.exp(b.negate(b.absolute(x[0]))))
    return b.multiply(x[0], b.tanh(b.add(b.maximum(x[0], b.constant(0, x[0].type)), tail)))
  }

  /// Written with operations of the graph, so that the gradient can be differentiated again.
  func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let x = g.operands[0]
    let t = tanh(softplus(x))
    return [.dense(g.dy * (t + x * (1 - square(t)) * sigmoid(x)))]
  }
}

func mish(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Mish(), [x], name: name) }

/// Puts the one operation in the place of the three by which it is spelt out.
let raiseMish = Rule(
  "raise-mish", .operation("Mul", .value("x"), .operation("Tanh", .operation("Softplus", .value("x"))))
) { match in [mish(match["x"])] }
