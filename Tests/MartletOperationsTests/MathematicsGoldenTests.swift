import MartletGradients
import MartletGraph
import MartletOperations
import MartletTensors
import MartletTestSupport
import Testing

/// Elementwise operations, reductions, products and operations of networks against what TensorFlow computes, and recurrent
/// layers against what PyTorch does; `Scripts/golden/mathematics.py`, `networks.py` and `recurrent.py` write the files.
@Suite struct MathematicsGoldenTests {
  static let cases = ["mathematics.json", "networks.json", "recurrent.json"].flatMap { GoldenCase.load($0) }

  private func operation(_ golden: GoldenCase) throws -> any Operation {
    try Catalog.standard.operation(named: golden.operation, attributes: golden.attributeList())
  }

  @Test(arguments: cases) func results(_ golden: GoldenCase) throws {
    let graph = Graph()
    let outputs = graph.add(try operation(golden), try golden.operands.map { graph.constant(try $0.tensor()) })
    var evaluator = ReferenceEvaluator()
    let found = try evaluator.evaluate(outputs)
    #expect(found.count == golden.results.count)
    for (found, expected) in zip(found, golden.results) {
      expectClose(found, try expected.tensor(), relative: golden.relative ?? 1e-6)
    }
  }

  static let halves = GoldenCase.narrowed(cases)

  /// In 16 bits: what TensorFlow computes in 64 bits from the same numbers, rounded once, or next to it.
  @Test(arguments: halves) func resultsInHalves(_ golden: GoldenCase) throws {
    let graph = Graph()
    let outputs = graph.add(try operation(golden), try golden.operands.map { graph.constant(try $0.tensor()) })
    var evaluator = ReferenceEvaluator()
    for (found, expected) in zip(try evaluator.evaluate(outputs), golden.results) {
      expectOneUnit(found, try expected.tensor())
    }
  }

  @Test(arguments: cases.filter { $0.gradients != nil }) func gradients(_ golden: GoldenCase) throws {
    let operation = try operation(golden)
    if case .none = operation.differentiation { return }
    let graph = Graph()
    let operands = try golden.operands.map { graph.constant(try $0.tensor()) }
    let outputs = graph.add(operation, operands)
    let upstream = try (golden.upstream ?? []).map { graph.constant(try $0.tensor()) }
    let found = try MartletGradients.gradients(of: outputs, withRespectTo: operands, upstream: upstream)
    var evaluator = ReferenceEvaluator()
    for (i, (found, expected)) in zip(found, golden.gradients ?? []).enumerated() {
      // TensorFlow passes over the moments that are given to batch normalization.
      guard let expected else { continue }
      let value = try evaluator.evaluate([try #require(found)])[0]
      expectClose(
        value, try expected.tensor(), relative: golden.relative ?? 1e-6, absolute: golden.relative ?? 1e-7,
        "operand \(i)")
    }
  }

  /// What inference says of operands of unknown extents, or of unknown rank, must be true of the results.
  @Test(arguments: cases) func inferenceWithLessKnown(_ golden: GoldenCase) throws {
    let operation = try operation(golden)
    let tensors = try golden.operands.map { try $0.tensor() }
    let shapes: [(Tensor) -> Shape] = [{ Shape(unknownOfRank: $0.rank) }, { _ in .unknown }]
    for shape in shapes {
      let operands = tensors.map { tensor in
        tensor.elementType.isInteger
          ? Operand(.tensor(tensor.type), known: KnownValue(tensor), constant: Constant(tensor))
          : Operand(.tensor(tensor.elementType, shape(tensor)))
      }
      for (found, expected) in zip(try operation.infer(operands, InferenceContext()), golden.results) {
        #expect(found.type.elementType?.name == expected.type)
        #expect(found.type.shape.isCompatible(with: Shape(expected.shape)), "\(found.type)")
      }
    }
  }

  /// Integers that inference follows are those that the operation computes.
  @Test(arguments: cases) func knownValues(_ golden: GoldenCase) throws {
    let operands = try golden.operands.map { array in
      let tensor = try array.tensor()
      return Operand(.tensor(tensor.type), known: KnownValue(tensor), constant: Constant(tensor))
    }
    for (found, expected) in zip(try operation(golden).infer(operands, InferenceContext()), golden.results) {
      guard let known = found.known else { continue }
      #expect(known.integers == (try expected.tensor().integers()))
      #expect(known.shape == expected.shape)
    }
  }
}
