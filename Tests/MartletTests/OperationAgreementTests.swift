import Martlet
import MartletTestSupport
import Testing

/// Whole sessions, with passes, kernels and libraries, against what TensorFlow computes for each operation and its
/// gradients.
@Suite struct OperationAgreementTests {
  static let cases = ["arrays.json", "mathematics.json", "networks.json"].flatMap { GoldenCase.load($0) }

  @Test(arguments: cases) func agrees(_ golden: GoldenCase) throws {
    let operation = try Catalog.standard.operation(named: golden.operation, attributes: golden.attributeList())
    let graph = Graph()
    var feeds: [Output: Tensor] = [:]
    let operands = try golden.operands.map { array in
      let tensor = try array.tensor()
      // Axes, shapes and indices are part of the program, as are the bounds of a range; other numbers come from outside.
      guard tensor.elementType.isFloatingPoint, golden.operation != "Range" else { return graph.constant(tensor) }
      let operand = graph.placeholder(tensor.elementType, shape: Shape(tensor.shape))
      feeds[operand] = tensor
      return operand
    }
    var fetches = graph.add(operation, operands)
    var expected = try golden.results.map { try $0.tensor() }
    if case .none = operation.differentiation {
    } else if let upstream = golden.upstream {
      let weights = try upstream.map { graph.constant(try $0.tensor()) }
      let found = try gradients(of: fetches, withRespectTo: operands, upstream: weights)
      for (gradient, array) in zip(found, golden.gradients ?? []) {
        guard let gradient, let array else { continue }
        fetches.append(gradient)
        expected.append(try array.tensor())
      }
    }
    guard !fetches.isEmpty else { return }
    let results = try Session(graph).run(fetches, feeds: feeds)
    for (i, (result, expected)) in zip(results, expected).enumerated() {
      expectClose(result, expected, relative: golden.relative ?? 1e-6, absolute: 1e-6, "fetch \(i)")
    }
  }
}
