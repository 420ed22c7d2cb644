import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletRewriting
import MartletTensors

extension RuleSet {
  /// Expressions that overflow, underflow or cancel, in the form in which they do not.
  ///
  /// The forms are equal in real arithmetic. In floating-point arithmetic the results change, for the better: where the
  /// expression as written is accurate both agree to rounding, and where it is not only the new form is right. Switch
  /// them off by their names where the bits of the expression as written are wanted.
  ///
  /// Where the rounded part of a difference from 1 is used elsewhere too, the difference stays as it is: compensated formulas
  /// and gradients rely on both being rounded alike.
  ///
  /// The same rules are applied to what is differentiated, since the gradient of an expression that overflows is NaN.
  /// A cross-entropy −Σ labels · log(softmax(x)), and one of two classes, need no rules of their own: they become right
  /// with their logarithms.
  ///
  /// Sources of the forms: N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., §1.7 to §1.14;
  /// P. Blanchard, D. J. Higham and N. J. Higham, "Accurately computing the log-sum-exp and softmax functions", 2021;
  /// M. Mächler, "Accurately computing log(1 − exp(−|a|))", 2012.
  public static var stability: RuleSet {
    RuleSet("stability", logarithms + exponentials + logistics + softmaxes + cancellations)
  }

  private static var logarithms: [Rule] {
    [
      stable("log-of-softmax", .operation("Log", .operation("Softmax", .value("x")))) { m in logSoftmax(m["x"]) },
      stable("log-of-sigmoid", .operation("Log", .operation("Sigmoid", .value("x")))) { m in -softplus(-m["x"]) },
      stable("log1p-of-exp", .operation("Log1p", .operation("Exp", .value("x")))) { m in softplus(m["x"]) },
      stable(
        "log-of-one-plus", .operation("Log", .operation("AddV2", .value("x"), .constant("one"))), needsSoleUse: true
      ) { m in
        m.isFilled("one", with: 1, beside: "x") ? log1p(m["x"]) : nil
      },
      stable(
        "log-of-one-minus", .operation("Log", .operation("Sub", .constant("one"), .value("x"))), needsSoleUse: true
      ) { m in
        m.isFilled("one", with: 1, beside: "x") ? log1p(-m["x"]) : nil
      },
      stable("log-of-negated-expm1", .operation("Log", .operation("Neg", .operation("Expm1", .value("x"))))) { m in
        logOneMinusExp(m)
      },
      stable(
        "log-of-zero-minus-expm1",
        .operation("Log", .operation("Sub", .constant("zero"), .operation("Expm1", .value("x"))))
      ) { m in
        m.isFilled("zero", with: 0, beside: "x") ? logOneMinusExp(m) : nil
      },
      stable("log1p-of-negated-exp", .operation("Log1p", .operation("Neg", .operation("Exp", .value("x"))))) { m in
        logOneMinusExp(m)
      },
      stable("log1p-of-negated-sigmoid", .operation("Log1p", .operation("Neg", .operation("Sigmoid", .value("x"))))) {
        m in -softplus(m["x"])
      },
    ]
  }

  /// log(1 − eˣ): by way of expm1 where eˣ is near 1, of log1p where it is small. Either side is computed where it is
  /// harmless, so that the gradient of the one that is not chosen is 0 and not NaN.
  private static func logOneMinusExp(_ m: Match) -> Output? {
    let x = m["x"]
    let boundary = -0.693_147_180_559_945_3  // −log 2
    guard !x.isExtremum("Maximum", boundary), !x.isExtremum("Minimum", boundary) else { return nil }
    let near = log(-expm1(maximum(x, x.scalar(boundary))))
    let far = log1p(-exp(minimum(x, x.scalar(boundary))))
    return select(x .> boundary, near, far)
  }

  private static var exponentials: [Rule] {
    [
      stable("exp-minus-one", .operation("Sub", .operation("Exp", .value("x")), .constant("one")), needsSoleUse: true) {
        m in
        m.isFilled("one", with: 1, beside: "x") ? expm1(m["x"]) : nil
      },
      stable(
        "exp-plus-minus-one", .operation("AddV2", .operation("Exp", .value("x")), .constant("one")), needsSoleUse: true
      ) { m in
        m.isFilled("one", with: -1, beside: "x") ? expm1(m["x"]) : nil
      },
      stable("one-minus-exp", .operation("Sub", .constant("one"), .operation("Exp", .value("x"))), needsSoleUse: true) {
        m in
        // From 0, unlike the negative, so that 1 − e⁰ is 0 and not −0.
        m.isFilled("one", with: 1, beside: "x") ? m["x"].scalar(0) - expm1(m["x"]) : nil
      },
    ]
  }

  private static var logistics: [Rule] {
    let exponential = Pattern.operation("Exp", .value("x"))
    let inverse = Pattern.operation("Exp", .operation("Neg", .value("x")))
    let onePlusExp = Pattern.operation("AddV2", exponential, .constant("one"))
    return [
      stable(
        "one-minus-sigmoid", .operation("Sub", .constant("one"), .operation("Sigmoid", .value("x"))), needsSoleUse: true
      ) { m in
        m.isFilled("one", with: 1, beside: "x") ? sigmoid(-m["x"]) : nil
      },
      // 1 / (1 + eˣ), whose logarithm, or gradient, would meet the ∞ of eˣ.
      stable("sigmoid-of-parts", .operation("RealDiv", .constant("numerator"), onePlusExp)) { m in
        m.isFilled("one", with: 1, beside: "x") && m.isFilled("numerator", with: 1, beside: "x")
          ? sigmoid(-m["x"]) : nil
      },
      stable("sigmoid-of-reciprocal", .operation("Reciprocal", onePlusExp)) { m in
        m.isFilled("one", with: 1, beside: "x") ? sigmoid(-m["x"]) : nil
      },
      // eˣ / (1 + eˣ)
      stable("sigmoid-of-ratio", .operation("RealDiv", exponential, onePlusExp)) { m in
        m.isFilled("one", with: 1, beside: "x") ? sigmoid(m["x"]) : nil
      },
      stable(
        "tanh-of-parts",
        .operation("RealDiv", .operation("Sub", exponential, inverse), .operation("AddV2", exponential, inverse))
      ) { m in tanh(m["x"]) },
      // (eˣ − 1) / (eˣ + 1)
      stable("tanh-of-ratio", .operation("RealDiv", .operation("Expm1", .value("x")), onePlusExp)) { m in
        m.isFilled("one", with: 1, beside: "x") ? tanh(m["x"] * 0.5) : nil
      },
    ]
  }

  private static var softmaxes: [Rule] {
    let exponential = Pattern.operation("Exp", .value("x"))
    let total = Pattern.operation("Sum", exponential, .value("axes"), as: "sum")
    let ratio = Pattern.operation("RealDiv", exponential, total)
    return [
      stable("log-sum-exp", .operation("Log", total)) { m in
        let x = m["x"]
        guard let sum = m.operation("sum", as: Sum.self), !x.isShiftedByMaximum(along: m["axes"]) else { return nil }
        let (shifted, maximum) = x.shiftedByMaximum(along: m["axes"])
        let logarithm = log(x.graph.addOne(sum, [exp(shifted), m["axes"]]))
        if sum.keepDims { return logarithm + maximum }
        if let extents = logarithm.shape.known { return logarithm + reshape(maximum, extents) }
        return logarithm + reshape(maximum, to: shape(of: logarithm))
      },
      stable("softmax-of-parts", ratio) { m in
        let x = m["x"]
        guard m.operation("sum", as: Sum.self)?.keepDims == true, !x.isShiftedByMaximum(along: m["axes"]) else {
          return nil
        }
        if x.isLastAxis(m["axes"]) { return softmax(x) }
        let exponentials = exp(x.shiftedByMaximum(along: m["axes"]).shifted)
        return exponentials / x.graph.addOne(Sum(keepDims: true), [exponentials, m["axes"]])
      },
      stable("log-of-softmax-of-parts", .operation("Log", ratio)) { m in
        guard m.operation("sum", as: Sum.self)?.keepDims == true else { return nil }
        let x = m["x"]
        if x.isLastAxis(m["axes"]) { return logSoftmax(x) }
        let shifted =
          x.isShiftedByMaximum(along: m["axes"]) ? x : x.shiftedByMaximum(along: m["axes"]).shifted
        return shifted - log(x.graph.addOne(Sum(keepDims: true), [exp(shifted), m["axes"]]))
      },
    ]
  }

  private static var cancellations: [Rule] {
    [
      // The mean of the squares less the square of the mean, as the mean of the squared distances from the mean.
      stable(
        "variance-of-parts",
        .operation(
          "Sub", .operation("Mean", .operation("Square", .value("x")), .value("axes"), as: "squares"),
          .operation("Square", .operation("Mean", .value("x"), .value("others"), as: "mean")))
      ) { m in
        let x = m["x"]
        guard x.elementType.isFloatingPoint, let squares = m.operation("squares", as: Mean.self),
          let inner = m.operation("mean", as: Mean.self), squares.keepDims == inner.keepDims,
          let axes = x.axes(m["axes"]), axes == x.axes(m["others"])
        else { return nil }
        let center = x.graph.addOne(Mean(keepDims: true), [x, m["axes"]])
        return x.graph.addOne(squares, [square(x - center), m["axes"]])
      },
      stable("one-minus-cos", .operation("Sub", .constant("one"), .operation("Cos", .value("x")))) { m in
        guard m.isFilled("one", with: 1, beside: "x") else { return nil }
        let x = m["x"]
        return square(sin(x * 0.5)) * 2
      },
    ]
  }

  private static func stable(
    _ name: String, _ pattern: Pattern, needsSoleUse: Bool = false,
    _ replacement: @escaping @Sendable (Match) -> Output?
  ) -> Rule {
    Rule(name, pattern, promise: .noLessAccurate, needsSoleUse: needsSoleUse) { m throws(Diagnostic) in
      replacement(m).map { [$0] }
    }
  }
}

extension Match {
  /// Whether a constant is `value` throughout and leaves the shape of the operand `other` as it is.
  fileprivate func isFilled(_ name: String, with value: Double, beside other: String) -> Bool {
    let (constant, operand) = (constant(name), self[other])
    guard constant.isFilled(with: value) else { return false }
    return constant.rank == 0 || (operand.shape.isFullyKnown && operand.shape == resultTypes[0].shape)
  }
}

extension Output {
  /// Whether this is the maximum, or minimum, of something and the constant `bound`.
  fileprivate func isExtremum(_ operation: String, _ bound: Double) -> Bool {
    let node = graph.producer(of: id)
    guard graph.schemaName(of: node) == operation else { return false }
    return graph.operands(of: node).contains { operand in
      operand.operand.constant?.tensor.doubles().allSatisfy { abs($0 - bound) < 1e-6 } == true
    }
  }

  /// The axes that an operand names, counted from the front and in order, if they and the rank are known.
  fileprivate func axes(_ operand: Output) -> [Int]? {
    guard let rank = shape.rank, let axes = operand.operand.integers else { return nil }
    return axes.map { $0 < 0 ? $0 + rank : $0 }.sorted()
  }

  fileprivate func isLastAxis(_ operand: Output) -> Bool {
    guard let rank = shape.rank, rank > 0 else { return false }
    return axes(operand) == [rank - 1]
  }

  /// The value less its maximum along axes, which stay with extent 1, and that maximum; 0 in its place where it is not
  /// finite. The maximum cancels out of what is computed from both, so it has no gradient.
  fileprivate func shiftedByMaximum(along axes: Output) -> (shifted: Output, maximum: Output) {
    let maximum = graph.addOne(Max(keepDims: true), [self, axes])
    let shift = stopGradient(select(isFinite(maximum), maximum, scalar(0)))
    return (self - shift, shift)
  }

  /// Whether this is a difference of something and its maximum along axes, so that its exponentials do not overflow.
  fileprivate func isShiftedByMaximum(along axes: Output) -> Bool {
    let node = graph.producer(of: id)
    guard graph.schemaName(of: node) == "Sub" else { return false }
    let x = graph.operands(of: node)[0]
    // The maximum may be reshaped, kept from the gradient, or 0 where it is not finite.
    var values = [graph.operands(of: node)[1]]
    for _ in 0..<4 {
      let nodes = values.map { graph.producer(of: $0.id) }
      let operands = nodes.map { graph.operands(of: $0) }
      for (node, operands) in zip(nodes, operands) where graph.schemaName(of: node) == "Max" {
        if operands[0] == x, x.axes(operands[1]) == x.axes(axes) { return true }
      }
      values = operands.flatMap { $0 }
    }
    return false
  }
}
