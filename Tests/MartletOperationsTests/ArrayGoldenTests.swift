import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors
import MartletTestSupport
import Testing

/// The array operations against what TensorFlow computes; `Scripts/golden/arrays.py` writes the file.
@Suite struct ArrayGoldenTests {
  static let cases = GoldenCase.load("arrays.json")

  @Test(arguments: cases) func results(_ golden: GoldenCase) throws {
    let operation = try Catalog.standard.operation(named: golden.operation, attributes: golden.attributeList())
    let found = try evaluate(operation, golden.operands.map { try $0.tensor() })
    #expect(found.count == golden.results.count)
    for (found, expected) in zip(found, golden.results) { expectClose(found, try expected.tensor()) }
  }

  @Test(arguments: GoldenCase.narrowed(cases)) func resultsInHalves(_ golden: GoldenCase) throws {
    let operation = try Catalog.standard.operation(named: golden.operation, attributes: golden.attributeList())
    let found = try evaluate(operation, golden.operands.map { try $0.tensor() })
    for (found, expected) in zip(found, golden.results) { expectOneUnit(found, try expected.tensor()) }
  }

  /// The rule is asked for all floating-point operands at once; with their extents known while the graph is built, and
  /// without.
  @Test(arguments: cases.filter { $0.gradients != nil }, [true, false])
  func gradients(_ golden: GoldenCase, areExtentsKnown: Bool) throws {
    let operation = try Catalog.standard.operation(named: golden.operation, attributes: golden.attributeList())
    guard operation.differentiation == .rule, let expected = golden.gradients else { return }
    let graph = Graph()
    var feeds: [Output: Tensor] = [:]
    func output(_ array: GoldenCase.Array) throws -> Output {
      let tensor = try array.tensor()
      if areExtentsKnown || !tensor.elementType.isFloatingPoint { return graph.constant(tensor) }
      let placeholder = graph.placeholder(tensor.elementType, shape: Shape(unknownOfRank: tensor.rank))
      feeds[placeholder] = tensor
      return placeholder
    }
    let operands = try golden.operands.map(output)
    let results = graph.add(operation, operands)
    var context = GradientContext(
      graph: graph, operands: operands, results: results, upstream: try (golden.upstream ?? []).map(output),
      isNeeded: operands.map(\.elementType.isFloatingPoint), differentiator: .unavailable)
    let cotangents = try operation.gradient(&context)
    #expect(cotangents.count == operands.count)
    for (i, (cotangent, expected)) in zip(cotangents, expected).enumerated() {
      guard let value = cotangent.sum() else {
        #expect(expected == nil, "operand \(i)")
        continue
      }
      // TensorFlow gives no gradient of what a few operations choose between.
      guard let expected else { continue }
      expectClose(try evaluate([value], feeds: feeds)[0], try expected.tensor(), "operand \(i)")
    }
  }

  /// What inference says of operands with unknown extents must be true of the results.
  @Test(arguments: cases) func symbolicShapes(_ golden: GoldenCase) throws {
    let operation = try Catalog.standard.operation(named: golden.operation, attributes: golden.attributeList())
    var values: [Dimension.Symbol: Int] = [:]
    let symbolic = try golden.operands.enumerated().map { i, array in
      let tensor = try array.tensor()
      guard !tensor.elementType.isInteger || tensor.rank > 1 else { return Self.exact(tensor) }
      let dimensions = tensor.shape.enumerated().map { axis, extent in
        let dimension = Dimension.symbol(named: "d\(i)_\(axis)")
        if let symbol = dimension.symbol { values[symbol] = extent }
        return dimension
      }
      let operand = Self.exact(tensor)
      return Operand(
        .tensor(tensor.elementType, Shape(dimensions)), known: operand.known,
        constant: tensor.elementType.isInteger ? operand.constant : nil)
    }
    for (found, expected) in zip(try operation.infer(symbolic, InferenceContext()), golden.results) {
      #expect(found.type.elementType?.name == expected.type)
      guard let dimensions = found.type.shape.dimensions else { continue }
      #expect(dimensions.count == expected.shape.count)
      for (dimension, extent) in zip(dimensions, expected.shape) {
        if let value = dimension.evaluated(values) { #expect(value == extent, "\(dimension)") }
      }
    }
  }

  @Test(arguments: cases) func unknownRanksAndIndices(_ golden: GoldenCase) throws {
    let operation = try Catalog.standard.operation(named: golden.operation, attributes: golden.attributeList())
    let tensors = try golden.operands.map { try $0.tensor() }
    let unknown = tensors.map { Operand(.tensor($0.elementType, .unknown)) }
    let shaped = tensors.map { Operand(.tensor($0.type)) }
    for operands in [unknown, shaped] {
      for (found, expected) in zip(try operation.infer(operands, InferenceContext()), golden.results) {
        #expect(found.type.shape.isCompatible(with: Shape(expected.shape)), "\(found.type)")
      }
    }
  }

  /// Integers that inference follows are those that the operation computes.
  @Test(arguments: cases) func knownValues(_ golden: GoldenCase) throws {
    let operation = try Catalog.standard.operation(named: golden.operation, attributes: golden.attributeList())
    let operands = try golden.operands.map { Self.exact(try $0.tensor()) }
    for (found, expected) in zip(try operation.infer(operands, InferenceContext()), golden.results) {
      let tensor = try expected.tensor()
      if let known = found.known {
        #expect(known.integers == tensor.integers())
        #expect(known.shape == tensor.shape)
      } else if tensor.rank <= 1, tensor.elementType == .int32 || tensor.elementType == .int64 {
        let isFollowed = operands.allSatisfy { $0.known != nil } && !operands.isEmpty
        #expect(!isFollowed || Self.unfollowed.contains(golden.operation))
      }
    }
  }

  /// Operations whose integer results nobody computes shapes with.
  static let unfollowed: Set<String> = ["PadV2", "OnesLike", "Cast"]

  static func exact(_ tensor: Tensor) -> Operand {
    Operand(.tensor(tensor.type), known: KnownValue(tensor), constant: Constant(tensor))
  }
}

extension Cotangent {
  /// The cotangent as one array; nil if there is none.
  func sum() -> Output? {
    switch self {
    case .none: nil
    case .dense(let value): value
    case .slices(let values, let indices, let shape): unsortedSegmentSum(values, indices, count: shape[0])
    }
  }
}

extension Differentiator {
  /// For rules that do not hand a part of their work back.
  static let unavailable = Differentiator(
    gradients: { (_, _, _) throws(Diagnostic) in throw Diagnostic("there is no differentiation here") },
    derivatives: { (_, _, _, _) throws(Diagnostic) in throw Diagnostic("there is no differentiation here") })
}
