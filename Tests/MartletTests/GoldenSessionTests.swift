import Martlet
import MartletGraph
import MartletOperations
import MartletTensors
import MartletTestSupport
import Testing

/// What TensorFlow computes for single operations and their gradients, through the whole compiler: every floating-point
/// operand is fed, so that nothing is folded that a user's run would compute, and no extent is known beforehand.
@Suite struct GoldenSessionTests {
  static let cases = ["arrays.json", "mathematics.json", "networks.json", "recurrent.json"].flatMap {
    GoldenCase.load($0)
  }

  @Test(arguments: cases) func agrees(_ golden: GoldenCase) throws {
    for (i, (result, expected)) in try golden.run().enumerated() {
      expectClose(result, expected, relative: golden.relative ?? 1e-6, absolute: 1e-6, "fetch \(i)")
    }
  }

  /// In 16 bits, results are what TensorFlow computes in 64 bits, rounded once, or next to it; gradients may be computed by
  /// several operations that round.
  @Test(arguments: GoldenCase.narrowed(GoldenCase.load("mathematics.json") + GoldenCase.load("networks.json")))
  func agreesInHalves(_ golden: GoldenCase) throws {
    for (i, (result, expected)) in try golden.run().enumerated() {
      if i < golden.results.count {
        expectOneUnit(result, expected, "fetch \(i)")
      } else {
        let unit = 2 / Double(1 << expected.elementType.significandWidth)
        let greatest = expected.doubles().reduce(1) { max($0, $1.isFinite ? $1.magnitude : 0) }
        expectClose(result, expected, relative: 4 * unit, absolute: unit * greatest, "fetch \(i)")
      }
    }
  }

  @Test func shapesThatDependOnElementsAreRefused() throws {
    let graph = Graph()
    let limit = graph.placeholder(.float32, shape: [], name: "limit")
    let numbers = range(graph.constant(0.0), limit, name: "numbers")
    let session = try Session(graph)
    let error = #expect(throws: Diagnostic.self) { try session.run(numbers, feeds: [limit: Tensor(Float(3))]) }
    #expect(error?.operation == "Range 'numbers'")
    #expect(error?.message == "the shape of 'numbers' is not known when the graph is compiled")
  }
}
