import Foundation
import Martlet
import MartletPasses
import MartletRewriting
import MartletTestSupport
import Testing

/// Each rule on the numbers on which the expression as written fails, against the value in real arithmetic.
@Suite struct StabilityRulesTests {
  /// An expression, numbers on which it fails, and what it stands for, as double precision gives it in another form.
  struct Case: Sendable, CustomStringConvertible {
    var description: String
    /// The rules that must fire.
    var rules: Set<String>
    var inputs: [Float]
    var expression: @Sendable (Output) -> Output
    var oracle: @Sendable ([Double]) -> [Double]

    init(
      _ description: String, _ rules: Set<String>, _ inputs: [Float],
      _ expression: @escaping @Sendable (Output) -> Output, each oracle: @escaping @Sendable (Double) -> Double
    ) {
      self.init(description, rules, inputs, expression) { $0.map(oracle) }
    }

    init(
      _ description: String, _ rules: Set<String>, _ inputs: [Float],
      _ expression: @escaping @Sendable (Output) -> Output, all oracle: @escaping @Sendable ([Double]) -> [Double]
    ) {
      (self.description, self.rules, self.inputs) = (description, rules, inputs)
      (self.expression, self.oracle) = (expression, oracle)
    }

    func values(_ disabled: Set<String>, _ device: SessionOptions.Device) throws -> (Tensor, Set<String>) {
      let graph = Graph()
      let x = graph.placeholder(.float32, shape: [inputs.count])
      let statistics = StatisticsInstrument()
      let options = SessionOptions(
        device: device, disabledRules: disabled, instruments: [statistics, VerifyInstrument()])
      let result = try Session(graph, options: options).run(expression(x), feeds: [x: Tensor(inputs)])
      let stability = Set(RuleSet.stability.rules.map(\.name))
      return (result, stability.intersection(statistics.firings.map(\.rule)))
    }
  }

  private static func logSumExp(_ x: [Double]) -> Double {
    let largest = x.max() ?? 0
    return largest + log(x.reduce(0) { $0 + exp($1 - largest) })
  }
  private static func softmax(_ x: [Double]) -> [Double] {
    let total = logSumExp(x)
    return x.map { exp($0 - total) }
  }
  private static func logSoftmax(_ x: [Double]) -> [Double] {
    let total = logSumExp(x)
    return x.map { $0 - total }
  }
  /// log(1 + e⁻ˣ)
  private static func softplusOfNegated(_ x: Double) -> Double { max(-x, 0) + log1p(exp(-abs(x))) }

  static let cases: [Case] = [
    Case("log(softmax(x))", ["log-of-softmax"], [1000, 0, -1000], { log(Martlet.softmax($0)) }, all: logSoftmax),
    Case("log(sigmoid(x))", ["log-of-sigmoid"], [-200, -100, 0, 30], { log(sigmoid($0)) }) { -softplusOfNegated($0) },
    Case("log1p(exp(x))", ["log1p-of-exp"], [-50, 0, 100, 500], { log1p(exp($0)) }) { softplusOfNegated(-$0) },
    Case(
      "log(1 + exp(x))", ["log-of-one-plus", "log1p-of-exp"], [-50, 0, 100, 500], { log(1 + exp($0)) }
    ) { softplusOfNegated(-$0) },
    Case("log(1 + x)", ["log-of-one-plus"], [1e-10, -1e-12, 3, 1e-30], { log($0 + 1) }) { log1p($0) },
    Case("log(1 - x)", ["log-of-one-minus"], [1e-10, -1e-12, 0.5, 1e-30], { log(1 - $0) }) { log1p(-$0) },
    Case(
      "log(1 - exp(x))", ["one-minus-exp", "log-of-zero-minus-expm1"], [-1e-8, -1e-3, -0.7, -20, -60],
      { log(1 - exp($0)) }
    ) { $0 > -0.6 ? log(-expm1($0)) : log1p(-exp($0)) },
    Case("log(-expm1(x))", ["log-of-negated-expm1"], [-0.1, -20, -60], { log(-Martlet.expm1($0)) }) {
      $0 > -0.6 ? log(-expm1($0)) : log1p(-exp($0))
    },
    Case("log1p(-exp(x))", ["log1p-of-negated-exp"], [-1e-8, -1e-3, -0.7, -60], { log1p(-exp($0)) }) {
      $0 > -0.6 ? log(-expm1($0)) : log1p(-exp($0))
    },
    Case("log1p(-sigmoid(x))", ["log1p-of-negated-sigmoid"], [100, 200, -3], { log1p(-sigmoid($0)) }) {
      -softplusOfNegated(-$0)
    },
    Case("exp(x) - 1", ["exp-minus-one"], [1e-8, -1e-6, 1, -50], { exp($0) - 1 }) { expm1($0) },
    Case("exp(x) + (-1)", ["exp-plus-minus-one"], [1e-8, -1e-6, 1, -50], { exp($0) + -1 }) { expm1($0) },
    Case("1 - exp(x)", ["one-minus-exp"], [1e-8, -1e-6, 1, -50], { 1 - exp($0) }) { -expm1($0) },
    Case("1 - sigmoid(x)", ["one-minus-sigmoid"], [20, 40, 80, -5], { 1 - sigmoid($0) }) { 1 / (1 + exp($0)) },
    Case(
      "log(1 / (1 + exp(-x)))", ["sigmoid-of-parts", "log-of-sigmoid"], [-200, -90, 3], { log(1 / (1 + exp(-$0))) }
    ) { -softplusOfNegated($0) },
    Case(
      "log(reciprocal(1 + exp(x)))", ["sigmoid-of-reciprocal", "log-of-sigmoid"], [200, 90, 3],
      { log(reciprocal(exp($0) + 1)) }
    ) { -softplusOfNegated(-$0) },
    Case("exp(x) / (1 + exp(x))", ["sigmoid-of-ratio"], [200, 90, -3], { exp($0) / (1 + exp($0)) }) {
      1 / (1 + exp(-$0))
    },
    Case(
      "(exp(x) - exp(-x)) / (exp(x) + exp(-x))", ["tanh-of-parts"], [200, -100, 1e-6],
      { (exp($0) - exp(-$0)) / (exp($0) + exp(-$0)) }
    ) { tanh($0) },
    Case(
      "(exp(x) - 1) / (exp(x) + 1)", ["exp-minus-one", "tanh-of-ratio"], [200, 100, 1e-6],
      { (exp($0) - 1) / (exp($0) + 1) }
    ) { tanh($0 / 2) },
    Case("log(sum(exp(x)))", ["log-sum-exp"], [1000, 999, -5], { log(sum(exp($0))) }, all: { [logSumExp($0)] }),
    Case(
      "log(sum(exp(x), keepDims: true))", ["log-sum-exp"], [-1000, -1001, -1005],
      { log(sum(exp($0), axes: [-1], keepDims: true)) }, all: { [logSumExp($0)] }),
    Case(
      "exp(x) / sum(exp(x))", ["softmax-of-parts"], [1000, 999, -1000],
      { exp($0) / sum(exp($0), axes: [0], keepDims: true) }, all: softmax),
    Case(
      "exp(x) / sum(exp(x)) along the first axis", ["softmax-of-parts"], [1000, 999, -1000],
      {
        let x = reshape($0, [3, 1])
        return reshape(exp(x) / sum(exp(x), axes: [0], keepDims: true), [3])
      }, all: softmax),
    Case(
      "log(exp(x) / sum(exp(x)))", ["softmax-of-parts", "log-of-softmax"], [1000, 0, -1000],
      { log(exp($0) / sum(exp($0), axes: [0], keepDims: true)) }, all: logSoftmax),
    Case(
      "log(exp(x) / sum(exp(x))) along the first axis", ["softmax-of-parts", "log-of-softmax-of-parts"],
      [1000, 0, -1000],
      {
        let x = reshape($0, [3, 1])
        return reshape(log(exp(x) / sum(exp(x), axes: [0], keepDims: true)), [3])
      }, all: logSoftmax),
    Case(
      "mean(x²) - mean(x)²", ["variance-of-parts"], [10000, 10001, 10002],
      { mean(square($0), axes: [0]) - square(mean($0, axes: [-1])) },
      all: { x in
        let center = x.reduce(0, +) / Double(x.count)
        return [x.reduce(0) { $0 + ($1 - center) * ($1 - center) } / Double(x.count)]
      }),
    Case("1 - cos(x)", ["one-minus-cos"], [1e-4, 1e-3, 3], { 1 - cos($0) }) { 2 * sin($0 / 2) * sin($0 / 2) },
    Case(
      "cross-entropy", ["log-of-softmax"], [1000, 0, -1000],
      { -sum($0.graph.constant([0.0, 1, 0]) * log(Martlet.softmax($0)), axes: [-1]) }, all: { [-logSoftmax($0)[1]] }),
    Case(
      "cross-entropy of two classes", ["log-of-sigmoid", "log-of-one-minus", "log1p-of-negated-sigmoid"],
      [200, -200, 3],
      {
        let labels = $0.graph.constant([0.0, 1, 1])
        let p = sigmoid($0)
        return -(labels * log(p) + (1 - labels) * log(1 - p))
      }, all: { [softplusOfNegated(-$0[0]), softplusOfNegated($0[1]), softplusOfNegated($0[2])] }),
  ]

  @Test(arguments: cases) func isRightWhereTheExpressionFails(item: Case) throws {
    let expected = item.oracle(item.inputs.map(Double.init))
    func isRight(_ found: Tensor) -> Bool {
      found.elementCount == expected.count
        && zip(found.doubles(), expected).allSatisfy { abs($0 - $1) <= 2e-6 * abs($1) + 1e-37 }
    }
    for device in [SessionOptions.Device.interpreter, .cpu] {
      let (found, fired) = try item.values([], device)
      #expect(fired == item.rules)
      #expect(isRight(found), "\(found) is not \(expected)")
    }
    let (naive, fired) = try item.values(Set(RuleSet.stability.rules.map(\.name)), .interpreter)
    #expect(fired.isEmpty)
    #expect(!isRight(naive), "the expression as written does not fail")
  }

  @Test func everyRuleHasACase() {
    #expect(Set(Self.cases.flatMap(\.rules)) == Set(RuleSet.stability.rules.map(\.name)))
  }

  @Test(arguments: [
    // Infinities come out as from the expression as written.
    ([-Float.infinity, -.infinity], -Float.infinity), ([.infinity, 3], .infinity),
    ([.infinity, -.infinity], .infinity),
  ]) func logSumExpOfInfinities(inputs: [Float], expected: Float) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2])
    let session = try Session(graph, options: SessionOptions(device: .interpreter))
    #expect(try session.run(log(sum(exp(x))), feeds: [x: Tensor(inputs)]) == Tensor(expected))
  }

  @Test func gradientsDoNotOverflowEither() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [1, 2])
    let y = graph.placeholder(.float32, shape: [2])
    let labels = graph.constant([0.0, 1], shape: [1, 2])
    let written = exp(x) / sum(exp(x), axes: [1], keepDims: true)
    let p = 1 / (1 + exp(-y))
    let gradients = [
      try gradient(of: -sum(labels * log(written)), withRespectTo: x),
      try gradient(of: log(sum(exp(x), axes: [1])), withRespectTo: x),
      try gradient(of: -sum(log(1 - p)), withRespectTo: y),
      try gradient(of: log(1 - exp(y)), withRespectTo: y),
    ]
    let session = try Session(graph, options: SessionOptions(device: .interpreter))
    let values = try session.run(
      gradients,
      feeds: [x: Tensor([500, 0] as [Float], shape: [1, 2]), y: Tensor([-300, -1] as [Float], shape: [2])])
    expectClose(values[0], Tensor([1, -1] as [Float], shape: [1, 2]))
    expectClose(values[1], Tensor([1, 0] as [Float], shape: [1, 2]))
    // The sigmoid; and −eʸ / (1 − eʸ).
    expectClose(values[2], Tensor([0, Float(1 / (1 + exp(1.0)))]), absolute: 1e-30)
    expectClose(values[3], Tensor([0, Float(-exp(-1.0) / (1 - exp(-1.0)))]), absolute: 1e-30)
  }

  @Test(arguments: [
    // Another number than 1.
    """
      %two = Const() {value: float32[] <2.0>} : float32[]
      %s = AddV2(%x, %two) : float32[2]
      %y = Log(%s) : float32[2]
      return %y
    """,
    // The one makes the result larger by broadcasting.
    """
      %one = Const() {value: float32[3, 2] <1.0, 1.0, 1.0, 1.0, 1.0, 1.0>} : float32[3, 2]
      %s = AddV2(%x, %one) : float32[3, 2]
      %y = Log(%s) : float32[3, 2]
      return %y
    """,
    // The user has taken care of overflow already.
    """
      %axes = Const() {value: int32[1] <0>} : int32[1]
      %m = Max(%x, %axes) {keep_dims: true} : float32[1]
      %d = Sub(%x, %m) : float32[2]
      %e = Exp(%d) : float32[2]
      %s = Sum(%e, %axes) {keep_dims: false} : float32[]
      %y = Log(%s) : float32[]
      return %y
    """,
    // Two expressions, not one.
    """
      %a = Exp(%x) : float32[2]
      %one = Const() {value: float32[] <1.0>} : float32[]
      %b = Exp(%z) : float32[2]
      %s = AddV2(%b, %one) : float32[2]
      %y = RealDiv(%a, %s) : float32[2]
      return %y
    """,
  ])
  func ruleMustNotFire(body: String) throws {
    let text = "function @main(%x: float32[2], %z: float32[2]) {\n\(body)\n}\n"
    #expect(try GoldenPass.run(Rewriting(.stability), on: text) == text)
  }

  @Test func rulesThatDoNotExistCannotBeDisabled() {
    let failure = #expect(throws: Diagnostic.self) {
      try Session(Graph(), options: SessionOptions(device: .interpreter, disabledRules: ["log-of-everything"]))
    }
    #expect(failure?.message == "there is no rule 'log-of-everything' to disable")
  }

  /// Formulas that rely on a rounded part, and what they stand for.
  @Test func partsThatAreUsedElsewhereKeepTheirRounding() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [3], name: "x")
    let one = graph.constant([1, 1, 1] as [Float])
    // Kahan's log1p, and his expm1.
    let u = x + one
    let logarithm = select(u .== one, x, log(u) * x / (u - one))
    let power = exp(x)
    let exponential = (power - one) * x / log(power)
    let values: [Float] = [2e-7, 3e-7, 1e-5]
    let feeds = [x: Tensor(values)]
    let found = try Session(graph).run([logarithm, exponential], feeds: feeds).map { $0.scalars(as: Float.self) }
    for (i, value) in values.enumerated() {
      #expect(abs(Double(found[0][i]) / log1p(Double(value)) - 1) < 1e-6)
      #expect(abs(Double(found[1][i]) / expm1(Double(value)) - 1) < 1e-6)
    }
  }

  /// A gradient as other programs write it: the derivative of the logistic function has the rounded value in it.
  @Test func gradientsThatAreInTheGraphAreNotMadeWorse() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4], name: "x")
    let y = sigmoid(x)
    let one = graph.constant([1, 1, 1, 1] as [Float])
    let gradient = graph.add(SigmoidGrad(), [y, one / (one - y)])[0]
    let values: [Float] = [10, 12, 15, 16]
    let found: [Float] = try Session(graph).run(gradient, feeds: [x: Tensor(values)]).scalars()
    #expect(zip(found, values).allSatisfy { abs(Double($0) - 1 / (1 + exp(-Double($1)))) < 1e-6 })
  }
}
