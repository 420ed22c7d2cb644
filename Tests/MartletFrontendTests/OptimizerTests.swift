import Martlet
import Testing

/// Three steps on v with the gradient 2·v − 1, against the formulas worked by hand in double precision.
@Suite struct OptimizerTests {
  private static let start = [0.5, -1.0, 2.0]

  private func train(_ optimizer: any Optimizer) throws -> [Double] {
    let graph = Graph()
    let v = graph.variable("v", [3], .tensor(Tensor(Self.start)), type: .float64)
    let loss = sum(square(v) - v)
    let step = optimizer.minimize(loss)
    let session = try Session(graph)
    try session.run(graph.initializer)
    for _ in 0..<3 { try session.run(step) }
    return try session.value(of: v).doubles()
  }

  /// The same steps by a closure from value, gradient, state and step number to value and state.
  private func expect(
    _ optimizer: any Optimizer, state: [Double],
    _ rule: (_ v: Double, _ g: Double, _ s: inout [Double], _ t: Double) -> Double
  ) throws {
    let expected = Self.start.map { start in
      var v = start
      var s = state
      for t in 1...3 { v = rule(v, 2 * v - 1, &s, Double(t)) }
      return v
    }
    for (found, wanted) in zip(try train(optimizer), expected) { #expect(abs(found - wanted) < 1e-12) }
  }

  @Test func gradientDescent() throws {
    try expect(GradientDescent(learningRate: 0.1), state: []) { v, g, _, _ in v - 0.1 * g }
  }

  @Test(arguments: [false, true]) func momentum(isNesterov: Bool) throws {
    try expect(Momentum(learningRate: 0.1, momentum: 0.8, nesterov: isNesterov), state: [0]) { v, g, s, _ in
      s[0] = 0.8 * s[0] + g
      return v - 0.1 * (isNesterov ? g + 0.8 * s[0] : s[0])
    }
  }

  @Test func adagrad() throws {
    try expect(Adagrad(learningRate: 0.1), state: [0.1]) { v, g, s, _ in
      s[0] += g * g
      return v - 0.1 * g / s[0].squareRoot()
    }
  }

  @Test(arguments: [0.0, 0.7]) func rmsProp(momentum: Double) throws {
    try expect(RMSProp(learningRate: 0.1, momentum: momentum), state: [1, 0]) { v, g, s, _ in
      s[0] = 0.9 * s[0] + 0.1 * g * g
      s[1] = momentum * s[1] + 0.1 * g / (s[0] + 1e-10).squareRoot()
      return v - s[1]
    }
  }

  @Test func adam() throws {
    try expect(Adam(learningRate: 0.1), state: [0, 0]) { v, g, s, t in
      s[0] = 0.9 * s[0] + 0.1 * g
      s[1] = 0.999 * s[1] + 0.001 * g * g
      var (power1, power2) = (1.0, 1.0)
      for _ in 0..<Int(t) { (power1, power2) = (power1 * 0.9, power2 * 0.999) }
      return v - 0.1 * (1 - power2).squareRoot() / (1 - power1) * s[0] / (s[1].squareRoot() + 1e-8)
    }
  }

  @Test func aLossWithoutVariablesIsAMistake() {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    _ = GradientDescent(learningRate: 0.1).minimize(sum(x))
    #expect(throws: DiagnosticList.self) { try Session(graph) }
    #expect(graph.diagnostics.first?.message == "the loss does not depend on any variable to be trained")
  }
}
