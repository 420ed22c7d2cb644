import Martlet
import MartletGraph
import MartletOperations
import MartletTensors
import MartletTestSupport
import Testing

/// What TensorFlow computes for single operations, through the whole compiler: every floating-point operand is fed, so
/// that nothing is folded that a user's run would compute.
@Suite struct GoldenSessionTests {
  @Test(arguments: GoldenCase.load("arrays.json")) func arrays(_ golden: GoldenCase) throws {
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
    let results = graph.add(operation, operands)
    let found = try Session(graph).run(results, feeds: feeds)
    for (found, expected) in zip(found, golden.results) { expectClose(found, try expected.tensor()) }
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
