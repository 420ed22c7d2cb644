import Martlet
import Testing

/// Long sums on the CPU, against sums in double precision.
///
/// The limit of 4 · 10⁻⁶ is thrice what TensorFlow 2.21 loses with the worst of these terms, 0.1 each, of which every
/// addition to a sum in [2ⁿ, 2ⁿ⁺¹) rounds in the same direction: 1.3 · 10⁻⁶ over 300,000 and over 5 million elements.
@Suite struct SumAccuracyTests {
  static let limit = 4e-6

  static func terms(_ count: Int, isEqual: Bool) -> [Float] {
    (0..<count).map { isEqual ? 0.1 : Float($0 * 37 % 101) / 101 + 0.5 }
  }

  private func session(_ graph: Graph, threads: Int = 2) throws -> Session {
    try Session(graph, options: SessionOptions(threads: threads))
  }

  /// The relative error of the worst element.
  private func error(_ found: Tensor, _ expected: [Double]) -> Double {
    let found: [Float] = found.scalars()
    return zip(found, expected).map { abs(Double($0) / $1 - 1) }.max() ?? .infinity
  }

  @Test(arguments: [10_007, 300_000, 500_000, 5_000_000], [false, true])
  func sumsAndMeansOfAll(_ count: Int, _ isEqual: Bool) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [count])
    let terms = Self.terms(count, isEqual: isEqual)
    let total = terms.reduce(0) { $0 + Double($1) }
    let results = try [1, 2].map { threads in
      try session(graph, threads: threads).run([sum(x), mean(x)], feeds: [x: Tensor(terms)])
    }
    #expect(error(results[0][0], [total]) < Self.limit)
    #expect(error(results[0][1], [total / Double(count)]) < Self.limit)
    #expect(results[0] == results[1], "the number of threads shows")
  }

  /// Sums along the rows, down the columns, and over all but the middle axis.
  @Test(
    arguments: [([20_000, 40], [0]), ([40, 20_000], [1]), ([40_000, 3], [0]), ([64, 8, 900], [0, 2])], [false, true])
  func sumsAlongAxes(_ sizes: (shape: [Int], axes: [Int]), _ isEqual: Bool) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: Shape(sizes.shape))
    let terms = Self.terms(sizes.shape.reduce(1, *), isEqual: isEqual)
    let kept = sizes.shape.indices.filter { !sizes.axes.contains($0) }[0]
    let inner = sizes.shape.dropFirst(kept + 1).reduce(1, *)
    var expected = [Double](repeating: 0, count: sizes.shape[kept])
    for (i, term) in terms.enumerated() { expected[i / inner % expected.count] += Double(term) }
    let found = try session(graph).run(
      sum(x, axes: sizes.axes), feeds: [x: Tensor(terms, shape: sizes.shape)])
    #expect(error(found, expected) < Self.limit)
  }

  /// A sum in a kernel with what feeds it and what follows: 300,000 equal probabilities.
  @Test func softmaxOfALongRow() throws {
    let count = 300_000
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2, count])
    let found = try session(graph).run(
      softmax(x), feeds: [x: Tensor([Float](repeating: 0.3, count: 2 * count), shape: [2, count])])
    #expect(error(found, [Double](repeating: 1 / Double(count), count: 2 * count)) < Self.limit)
  }
}
