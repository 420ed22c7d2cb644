import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletRewriting
import MartletTensors

extension RuleSet {
  /// Simplifications that keep every bit, of floats too: NaN, infinities, signed zeros.
  public static var algebra: RuleSet {
    RuleSet("algebra", identities + neutralElements + signs + powers)
  }

  /// Operations that hand their operand on.
  private static var identities: [Rule] {
    [
      Rule("remove-identity", .operation("Identity", .value("x"))) { m throws(Diagnostic) in [m["x"]] },
      Rule("remove-stop-gradient", .operation("StopGradient", .value("x"))) { m throws(Diagnostic) in [m["x"]] },
      Rule("remove-cast-to-same-type", .operation("Cast", .value("x"))) { m throws(Diagnostic) in
        m["x"].elementType == m.resultTypes[0].elementType ? [m["x"]] : nil
      },
      Rule("remove-broadcast-to-same-shape", .operation("BroadcastTo", .value("x"), .value("shape"))) {
        m throws(Diagnostic) in m.keeping("x")
      },
      Rule("remove-tile-by-ones", .operation("Tile", .value("x"), .value("multiples"))) { m throws(Diagnostic) in
        m["multiples"].operand.integers?.allSatisfy { $0 == 1 } == true ? m.keeping("x") : nil
      },
      Rule("remove-pad-by-zeros", .operation("Pad", .value("x"), .value("paddings"))) { m throws(Diagnostic) in
        m["paddings"].operand.integers?.allSatisfy { $0 == 0 } == true ? m.keeping("x") : nil
      },
      Rule("remove-whole-slice", .operation("Slice", .value("x"), .value("begin"), .value("size"))) {
        m throws(Diagnostic) in m.keeping("x")
      },
      Rule("remove-sum-to-same-shape", .operation("_SumToShape", .value("x"), .value("shape"))) {
        m throws(Diagnostic) in m.keeping("x")
      },
      Rule("remove-double-not", .operation("LogicalNot", .operation("LogicalNot", .value("x")))) {
        m throws(Diagnostic) in [m["x"]]
      },
      Rule("remove-repeated-relu", .operation("Relu", .operation("Relu", .value("x"), as: "inner"))) {
        m throws(Diagnostic) in [m.operands[0]]
      },
      Rule("maximum-of-itself", .operation("Maximum", .value("x"), .value("x"))) { m throws(Diagnostic) in [m["x"]] },
      Rule("minimum-of-itself", .operation("Minimum", .value("x"), .value("x"))) { m throws(Diagnostic) in [m["x"]] },
      // A float's square has no sign; an integer's may wrap to a negative number.
      Rule("remove-absolute-of-square", .operation("Abs", .operation("Square", .value("x")))) { m throws(Diagnostic) in
        m["x"].elementType.isFloatingPoint ? [m.operands[0]] : nil
      },
      Rule("select-equal-branches", .operation("SelectV2", .value("c"), .value("x"), .value("x"))) {
        m throws(Diagnostic) in m.keeping("x")
      },
    ]
  }

  /// x + −0, x − 0, x · 1, x / 1, and for integers x + 0. A float's x + 0 stays: it turns −0 into 0.
  private static var neutralElements: [Rule] {
    [
      Rule("add-neutral", .operation("AddV2", .value("x"), .constant("c"))) { m throws(Diagnostic) in
        let zero: Double = m["x"].elementType.isFloatingPoint ? -0.0 : 0
        return m.constant("c").isFilled(with: zero) ? m.keeping("x") : nil
      },
      Rule("subtract-zero", .operation("Sub", .value("x"), .constant("c"))) { m throws(Diagnostic) in
        m.constant("c").isFilled(with: 0.0) ? m.keeping("x") : nil
      },
      Rule("multiply-by-one", .operation("Mul", .value("x"), .constant("c"))) { m throws(Diagnostic) in
        m.constant("c").isFilled(with: 1) ? m.keeping("x") : nil
      },
      Rule("divide-by-one", .operation("RealDiv", .value("x"), .constant("c"))) { m throws(Diagnostic) in
        m.constant("c").isFilled(with: 1) ? m.keeping("x") : nil
      },
      Rule("divide-by-power-of-two", .operation("RealDiv", .value("x"), .constant("c"))) { m throws(Diagnostic) in
        let c = m.constant("c")
        guard c.elementCount == 1, c.elementType.isFloatingPoint, let value = c.doubles().first, value.isNormal,
          value.significand == 1, abs(value.exponent) < 100
        else { return nil }
        let reciprocal = Tensor(rounding: [1 / value], shape: c.shape, as: c.elementType)
        guard reciprocal.doubles() == [1 / value] else { return nil }
        let inverse = m.graph.constant(reciprocal)
        return [m.graph.addOne(Mul(), [m["x"], inverse])]
      },
    ]
  }

  private static var signs: [Rule] {
    [
      Rule("remove-double-negation", .operation("Neg", .operation("Neg", .value("x")))) { m throws(Diagnostic) in
        [m["x"]]
      },
      Rule("add-negated", .operation("AddV2", .value("x"), .operation("Neg", .value("y")))) { m throws(Diagnostic) in
        [m.graph.addOne(Sub(), [m["x"], m["y"]])]
      },
      Rule("subtract-negated", .operation("Sub", .value("x"), .operation("Neg", .value("y")))) {
        m throws(Diagnostic) in [m.graph.addOne(AddV2(), [m["x"], m["y"]])]
      },
      Rule(
        "multiply-negated", .operation("Mul", .operation("Neg", .value("x")), .operation("Neg", .value("y")))
      ) { m throws(Diagnostic) in [m.graph.addOne(Mul(), [m["x"], m["y"]])] },
      Rule("square-negated", .operation("Square", .operation("Neg", .value("x")))) { m throws(Diagnostic) in
        [m.graph.addOne(Square(), [m["x"]])]
      },
      Rule("absolute-of-negated", .operation("Abs", .operation("Neg", .value("x")))) { m throws(Diagnostic) in
        [m.graph.addOne(Abs(), [m["x"]])]
      },
    ]
  }

  private static var powers: [Rule] {
    [
      Rule("power-one", .operation("Pow", .value("x"), .constant("c"))) { m throws(Diagnostic) in
        m.constant("c").isFilled(with: 1) ? m.keeping("x") : nil
      },
      // The square is correctly rounded, so it is what a correctly rounded power gives.
      Rule("power-two-to-square", .operation("Pow", .value("x"), .constant("c"))) { m throws(Diagnostic) in
        guard m.constant("c").isFilled(with: 2), m["x"].shape == m.resultTypes[0].shape else { return nil }
        return [m.graph.addOne(Square(), [m["x"]])]
      },
      Rule("multiply-by-itself", .operation("Mul", .value("x"), .value("x"))) { m throws(Diagnostic) in
        [m.graph.addOne(Square(), [m["x"]])]
      },
    ]
  }
}

extension Match {
  /// The value of a name, if it already has the result's shape.
  func keeping(_ name: String) -> [Output]? {
    let value = self[name]
    return value.shape == resultTypes[0].shape && value.elementType == resultTypes[0].elementType ? [value] : nil
  }
}

extension Tensor {
  /// Whether every element is `value`, by bits: 0.0 is not −0.0.
  func isFilled(with value: Double) -> Bool {
    elementCount > 0 && elementCount <= 4096 && doubles().allSatisfy { $0.bitPattern == value.bitPattern }
  }
}
