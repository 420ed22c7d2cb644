import Martlet
import MartletTestSupport
import Testing

@testable import MartletFormats

/// What Martlet writes, TensorFlow loads and runs to the same numbers.
@Suite(.enabled(if: TensorFlow.isAvailable)) struct ToTensorFlowTests {
  /// A graph to be written and run by TensorFlow, and what Martlet computes.
  private struct Comparison {
    var run: TensorFlow.Run
    var expected: [Tensor]
  }

  private func comparison(
    _ label: String, _ outputs: [Output], feeds: [Output: Tensor] = [:], format: GraphDefFormat = .binary
  ) throws -> Comparison {
    let graph = outputs[0].graph
    if let mistake = graph.diagnostics.first { throw mistake }
    // Names for the fetches that survive whatever stands for an operation in the file.
    let named = outputs.enumerated().map { i, output in identity(output, name: "fetch_\(i)") }
    var evaluator = ReferenceEvaluator()
    let expected = try evaluator.evaluate(named, feeds: feeds)
    let record = try graph.graphDef(outputs: named + feeds.keys.sorted { $0.id < $1.id })
    let tensors = Dictionary(uniqueKeysWithValues: feeds.map { ($0.key.name, $0.value) })
    return Comparison(
      run: TensorFlow.Run(label: label, graph: record, feeds: tensors, fetches: named.map(\.name)), expected: expected)
  }

  /// What TensorFlow has no code for on a processor, by parts of its messages: channels first, dilated and grouped
  /// gradients, gradient operations that broadcast.
  private static let limits = [
    "NHWC", "dilation rates larger than 1", "Gradients for grouped convolutions", "equal length strides",
    "must have same number of elements", "Shapes must be equal rank", "must be either of the same shape",
  ]

  private func check(_ comparisons: [Comparison], relative: Double = 1e-5) throws {
    var passed = 0
    defer { #expect(passed * 4 >= comparisons.count * 3) }
    for (comparison, outcome) in zip(comparisons, try TensorFlow.run(comparisons.map(\.run))) {
      switch outcome {
      case .failure(let failure):
        guard !Self.limits.contains(where: { failure.description.contains($0) }) else { continue }
        Issue.record("\(comparison.run.label): \(failure)")
      case .success(let found):
        passed += 1
        // What a reserve space has for its shape is each implementation's own affair.
        for (found, expected) in zip(found, comparison.expected) where expected.elementCount > 0 {
          expectClose(found, expected, relative: relative, absolute: relative, comparison.run.label)
        }
      }
    }
  }

  /// Kernels that TensorFlow does not have on this processor.
  private static let missingKernels: Set<String> = ["MaxPoolGradGrad"]

  /// Every operation that has a gradient, with that gradient; those that broadcast also at unknown shapes.
  @Test(arguments: [true, false]) func differentiableOperations(hasShapes: Bool) throws {
    var comparisons: [Comparison] = []
    for type in Catalog.standard.types where !Self.missingKernels.contains(type.schema.name) {
      guard hasShapes || type.schema.traits.contains(.elementwise) else { continue }
      for (i, sample) in ContractSamples.standard.samples(of: type).enumerated() {
        let graph = Graph()
        let point = sample.point.map { Tensor($0.scalars(as: Double.self).map { Float($0) }, shape: $0.shape) }
        let arguments = point.map { tensor in
          graph.placeholder(.float32, shape: hasShapes ? Shape(tensor.shape) : Shape(unknownOfRank: tensor.rank))
        }
        let outputs = try sample.build(arguments).filter { $0.elementType.isFloatingPoint }
        guard !outputs.isEmpty, graph.diagnostics.isEmpty else { continue }
        let weights = outputs.map { output in onesLike(output) }
        let found = try gradients(of: outputs, withRespectTo: arguments, upstream: weights, unconnected: .zeros)
        comparisons.append(
          try comparison(
            "\(type.schema.name) \(i)", outputs + found.compactMap { $0 },
            feeds: Dictionary(uniqueKeysWithValues: zip(arguments, point))))
      }
    }
    #expect(comparisons.count > 80)
    try check(comparisons)
  }

  /// Operations on arrays, with their attributes.
  @Test func arrayOperations() throws {
    var comparisons: [Comparison] = []
    for golden in GoldenCase.load("arrays.json") {
      let graph = Graph()
      let operation = try Catalog.standard.operation(named: golden.operation, attributes: golden.attributeList())
      let operands = try golden.operands.map { graph.constant(try $0.tensor()) }
      let outputs = graph.add(operation, operands)
      comparisons.append(try comparison(golden.description, outputs))
    }
    try check(comparisons)
  }

  /// A small network for images, its loss, and the gradients of its weights.
  @Test func trainingStep() throws {
    let graph = Graph()
    var numbers = SampleNumbers(seed: 3)
    func constant(_ shape: Int..., name: String) -> Output {
      let tensor = numbers.tensor(shape, in: -0.5...0.5).scalars(as: Double.self).map { Float($0) }
      return graph.constant(Tensor(tensor, shape: shape), name: name)
    }
    let images = graph.placeholder(.float32, shape: [nil, 12, 12, 1], name: "images")
    let labels = graph.placeholder(.int32, shape: [nil], name: "labels")
    let weights = [
      constant(5, 5, 1, 4, name: "conv/w"), constant(4, name: "conv/b"), constant(144, 10, name: "dense/w"),
      constant(10, name: "dense/b"),
    ]
    let hidden = relu(biasAdd(conv2D(images, weights[0], padding: .same), weights[1]))
    let flat = reshape(maxPool(hidden, size: 2), [-1, 144])
    let logits = matMul(flat, weights[2]) + weights[3]
    let loss = mean(sparseSoftmaxCrossEntropy(logits: logits, labels: labels))
    let found = try gradients(of: [loss], withRespectTo: weights).compactMap { $0 }
    let feed = numbers.tensor([3, 12, 12, 1]).scalars(as: Double.self).map { Float($0) }
    try check([
      try comparison(
        "training step", [loss, logits] + found,
        feeds: [images: Tensor(feed, shape: [3, 12, 12, 1]), labels: Tensor([1, 9, 4] as [Int32])])
    ])
  }

  /// Branches and loops with what they capture, and a loop within a branch.
  @Test func controlFlow() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, 2], name: "x")
    let w = graph.constant([0.5, -1, 2, 0.25] as [Float], shape: [2, 2])
    let limit = graph.constant(4)
    let looped = whileLoop([graph.constant(0), x], name: "my loop") {
      $0[0] .< limit
    } body: {
      [$0[0] + 1, matMul($0[1], w) + x]
    }
    let chosen = cond(sum(x) .> 0) {
      whileLoop([looped[1]]) {
        sum(square($0[0])) .> 1
      } body: {
        [$0[0] * 0.5]
      }
    } else: {
      [-x]
    }
    let comparisons = try [1, -1].map { sign in
      try comparison(
        "control flow \(sign)", looped + chosen,
        feeds: [x: Tensor([1, 2, 0.5, -0.25].map { Float($0 * Double(sign)) }, shape: [2, 2])])
    }
    try check(comparisons)
  }

  /// Variables that are assigned in branches, with an initialiser, in order.
  @Test func variables() throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [2], name: "v")
    let start = assign(v, graph.constant([1, 2] as [Float]), name: "start")
    let flag = graph.placeholder(.bool, shape: [], name: "flag")
    let branch = cond(flag, name: "branch") {
      graph.withControlDependencies([assignAdd(v, graph.constant([10, 20] as [Float])).id]) { [readVariable(v) * 2] }
    } else: {
      [readVariable(v)]
    }
    let after = graph.withControlDependencies([branch[0].node]) { readVariable(v, name: "after") }
    let assertion = assertTrue(sum(after) .> -1000, name: "checked")
    let out = graph.withControlDependencies([assertion.id]) { identity(after, name: "out") }
    let run = TensorFlow.Run(
      label: "variables", graph: try graph.graphDef(), feeds: ["flag": Tensor(true)], targets: [start.name],
      fetches: [branch[0].name, out.name])
    let found = try #require(try TensorFlow.run([run]).first).get()
    #expect(found[0].scalars(as: Float.self) == [22, 44])
    #expect(found[1].scalars(as: Float.self) == [11, 22])
  }

  /// Names that TensorFlow would refuse, and what it has no operation for.
  @Test func names() throws {
    let graph = Graph()
    let x = graph.constant([1, 2] as [Float], name: "my values")
    let y = graph.withNameScope("_scope") { sumToShape(x, graph.constant([1]), name: "_total") }
    let record = try graph.graphDef()
    #expect(record.nodes.allSatisfy { NodeNames.isAllowed($0.name) })
    try check([try comparison("names", [y])])
  }
}
