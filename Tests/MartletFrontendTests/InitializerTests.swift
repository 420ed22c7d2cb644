import Martlet
import Testing

@Suite struct InitializerTests {
  private func values(_ initializer: Initializer, _ shape: [Int], type: ElementType = .float32) throws -> [Double] {
    let graph = Graph()
    let variable = graph.variable("v", shape, initializer, type: type)
    let session = try Session(graph)
    try session.run(graph.initializer)
    return try session.value(of: variable).doubles()
  }

  private func moments(_ x: [Double]) -> (mean: Double, deviation: Double) {
    let mean = x.reduce(0, +) / Double(x.count)
    return (mean, (x.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.count)).squareRoot())
  }

  @Test func constants() throws {
    #expect(try values(.zeros, [3]) == [0, 0, 0])
    #expect(try values(.ones, [2], type: .float64) == [1, 1])
    #expect(try values(.constant(2.5), [2, 1]) == [2.5, 2.5])
    #expect(try values(.tensor(Tensor([1, 2] as [Float])), [2]) == [1, 2])
  }

  /// By the formulas of Glorot and He, for 100 inputs and 400 outputs.
  private static let deviations: [(Initializer, Double)] = [
    (.glorotUniform, 0.0632455532), (.glorotNormal, 0.0632455532), (.heUniform, 0.1414213562),
    (.heNormal, 0.1414213562),
    (.normal(standardDeviation: 3), 3), (.uniform(from: -1, to: 1), 0.5773502692), (.truncatedNormal(), 0.87962566),
  ]

  /// 40,000 draws tell 2 % apart.
  @Test(arguments: deviations)
  func distributionsHaveTheirDeviation(initializer: Initializer, deviation: Double) throws {
    let found = moments(try values(initializer, [100, 400]))
    #expect(abs(found.deviation / deviation - 1) < 0.02)
    #expect(abs(found.mean) < 0.02 * deviation)
  }

  @Test func aFiltersFansCountItsField() throws {
    let found = moments(try values(.heNormal, [5, 5, 40, 20]))
    #expect(abs(found.deviation / (2.0 / 1000).squareRoot() - 1) < 0.03)
  }

  @Test func truncatedNumbersStayWithinTwoDeviations() throws {
    #expect(try values(.truncatedNormal(standardDeviation: 0.5), [10_000]).allSatisfy { abs($0) <= 1 })
  }

  @Test(arguments: [[6, 4], [4, 6], [2, 3, 5]]) func orthogonalMatricesAre(shape: [Int]) throws {
    let x = try values(.orthogonal(gain: 2), shape, type: .float64)
    let columns = shape[shape.count - 1]
    let rows = x.count / columns
    func dot(_ i: Int, _ j: Int) -> Double {
      rows <= columns
        ? (0..<columns).reduce(0) { $0 + x[i * columns + $1] * x[j * columns + $1] }
        : (0..<rows).reduce(0) { $0 + x[$1 * columns + i] * x[$1 * columns + j] }
    }
    for i in 0..<min(rows, columns) {
      for j in 0..<min(rows, columns) { #expect(abs(dot(i, j) - (i == j ? 4 : 0)) < 1e-12) }
    }
  }

  @Test func equalSeedsGiveEqualNumbers() throws {
    let a = try values(.uniform(from: 0, to: 1, seed: 7), [100])
    #expect(try values(.uniform(from: 0, to: 1, seed: 7), [100]) == a)
    #expect(try values(.uniform(from: 0, to: 1, seed: 8), [100]) != a)
  }
}
