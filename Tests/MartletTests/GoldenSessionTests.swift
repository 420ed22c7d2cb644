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
    for (i, (result, expected)) in try run(golden).enumerated() {
      expectClose(result, expected, relative: golden.relative ?? 1e-6, absolute: 1e-6, "fetch \(i)")
    }
  }

  /// In 16 bits, results are what TensorFlow computes in 64 bits, rounded once, or next to it; gradients may be computed by
  /// several operations that round.
  @Test(arguments: GoldenCase.narrowed(GoldenCase.load("mathematics.json") + GoldenCase.load("networks.json")))
  func agreesInHalves(_ golden: GoldenCase) throws {
    for (i, (result, expected)) in try run(golden).enumerated() {
      if i < golden.results.count {
        expectOneUnit(result, expected, "fetch \(i)")
      } else {
        let unit = 2 / Double(1 << expected.elementType.significandWidth)
        let greatest = expected.doubles().reduce(1) { max($0, $1.isFinite ? $1.magnitude : 0) }
        expectClose(result, expected, relative: 4 * unit, absolute: unit * greatest, "fetch \(i)")
      }
    }
  }

  /// Results and gradients as they are found, each with what it should be.
  private func run(_ golden: GoldenCase) throws -> [(found: Tensor, expected: Tensor)] {
    let graph = Graph()
    var feeds: [Output: Tensor] = [:]
    let operation = try Catalog.standard.operation(named: golden.operation, attributes: golden.attributeList())
    let operands = try golden.operands.map { array in
      let tensor = try array.tensor()
      // A range's length depends on its elements.
      guard tensor.elementType.isFloatingPoint, !(operation is RangeOperation) else { return graph.constant(tensor) }
      let placeholder = graph.placeholder(tensor.elementType, shape: Shape(unknownOfRank: tensor.rank))
      feeds[placeholder] = tensor
      return placeholder
    }
    var fetches = graph.add(operation, operands)
    var expected = try golden.results.map { try $0.tensor() }
    if let upstream = golden.upstream, operation.differentiation == .rule {
      let weights = try upstream.map { graph.constant(try $0.tensor()) }
      let found = try gradients(of: fetches, withRespectTo: operands, upstream: weights)
      for (gradient, array) in zip(found, golden.gradients ?? []) {
        guard let gradient, let array else { continue }
        fetches.append(gradient)
        expected.append(try array.tensor())
      }
    }
    let results = try Session(graph).run(fetches, feeds: feeds)
    #expect(results.count == expected.count)
    return Array(zip(results, expected))
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
