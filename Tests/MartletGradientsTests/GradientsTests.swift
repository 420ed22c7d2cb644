import MartletDiagnostics
import MartletGradients
import MartletGraph
import MartletOperations
import MartletTensors
import MartletTestSupport
import Testing

@Suite struct GradientsTests {
  private func evaluate(_ outputs: [Output], _ feeds: [Output: Tensor] = [:]) throws -> [[Double]] {
    var evaluator = ReferenceEvaluator()
    return try evaluator.evaluate(outputs, feeds: feeds).map { $0.doubles() }
  }

  @Test func weightsOutputsByUpstream() throws {
    let graph = Graph()
    let x = graph.constant([1.0, 2, 3])
    let weights = graph.constant([1.0, 10, 100])
    let dx = try gradients(of: [square(x)], withRespectTo: [x], upstream: [weights])
    #expect(try evaluate([try #require(dx[0])]) == [[2, 40, 600]])
  }

  @Test func sumsOverOutputsAndUses() throws {
    let graph = Graph()
    let x = graph.constant(3.0)
    let dx = try gradients(of: [x * x, x * 5, exp(x - x)], withRespectTo: [x])
    #expect(try evaluate([try #require(dx[0])]) == [[2 * 3 + 5]])
  }

  @Test func unconnectedInputsAreNilOrZeros() throws {
    let graph = Graph()
    let x = graph.constant([1.0, 2])
    let other = graph.constant([1.0, 2])
    let integers = graph.constant([1, 2])
    let y = sum(x * cast(integers, to: .float32))
    let missing = try gradients(of: [y], withRespectTo: [x, other, integers])
    #expect(missing[0] != nil && missing[1] == nil && missing[2] == nil)
    let zeros = try gradients(of: [y], withRespectTo: [other], unconnected: .zeros)
    #expect(try evaluate([try #require(zeros[0])]) == [[0, 0]])
  }

  @Test func stopsWhereToldTo() throws {
    let graph = Graph()
    let x = graph.constant(2.0)
    let y = x * x
    let loss = y * x
    let all = try #require(try gradients(of: [loss], withRespectTo: [x])[0])
    let partial = try gradients(of: [loss], withRespectTo: [x, y], stopping: [y])
    let stopped = try #require(try gradients(of: [stopGradient(y) * x], withRespectTo: [x])[0])
    let found = try evaluate([all, stopped] + partial.compactMap { $0 })
    #expect(found == [[12], [4], [4], [2]])
  }

  @Test func differentiatesThroughIntermediateInputs() throws {
    let graph = Graph()
    let x = graph.constant(2.0)
    let y = x * x
    let both = try gradients(of: [y * y], withRespectTo: [x, y]).compactMap { $0 }
    #expect(try evaluate(both) == [[32], [8]])
  }

  @Test func variablesSumOverTheirReads() throws {
    let graph = Graph()
    let handle = graph.addOne(VarHandleOp(.float32, shape: [2], sharedName: "w"))
    let (first, second) = (graph.addOne(ReadVariableOp(), [handle]), graph.addOne(ReadVariableOp(), [handle]))
    let dw = try gradients(of: [sum(first * second)], withRespectTo: [handle, first])
    var evaluator = ReferenceEvaluator(variables: ["w": Tensor([3, 5] as [Float])])
    let found = try evaluator.evaluate(dw.compactMap { $0 }).map { $0.doubles() }
    #expect(found == [[6, 10], [3, 5]])
  }

  @Test func gathersGiveSlices() throws {
    let graph = Graph()
    let table = graph.constant(Tensor((0..<8).map(Double.init), shape: [4, 2]))
    let rows = gather(table, graph.constant([1, 3, 1]))
    let cotangent = try cotangents(of: [rows], withRespectTo: [table])[0]
    guard case .slices(let values, let indices, _) = cotangent else {
      Issue.record("the gradient of a gather is not sparse")
      return
    }
    #expect(try evaluate([values, indices]) == [[1, 1, 1, 1, 1, 1], [1, 3, 1]])
    let dense = try #require(try gradients(of: [rows, rows * 2], withRespectTo: [table])[0])
    #expect(try evaluate([dense]) == [[0, 0, 6, 6, 0, 0, 3, 3]])
  }

  @Test func logarithmsOfSoftmaxDoNotOverflow() throws {
    let graph = Graph()
    let x = graph.constant([1000.0, 0], shape: [1, 2])
    let y = log(softmax(x))
    let dx = try gradient(of: y, withRespectTo: x)
    let found = try evaluate([y, dx])
    #expect(found == [[0, -1000], [-1, 1]])
  }

  @Test func emptyBroadcastsAreUndone() throws {
    let graph = Graph()
    let x = graph.placeholder(.float64, shape: [nil, nil])
    let bias = graph.placeholder(.float64, shape: [nil])
    let gradients = try gradients(of: [x + bias], withRespectTo: [x, bias]).compactMap { $0 }
    let found = try evaluate(
      gradients, [x: Tensor([1.0, 2, 3, 4, 5, 6], shape: [3, 2]), bias: Tensor([0.5], shape: [1])])
    #expect(found == [[1, 1, 1, 1, 1, 1], [6]])
  }

  @Test func gradientsAreNamedAndReportedAsTheirForwardNode() throws {
    let graph = Graph()
    let x = graph.constant([1.0, 2])
    let y = tanh(x, name: "activation")
    let site = graph.storage.site(of: y.node)
    let dx = try gradient(of: y, withRespectTo: x)
    #expect(dx.name == "gradients/activation_grad/TanhGrad")
    #expect(graph.storage.site(of: dx.node) == site)
  }

  @Test func aLongChainNeedsNoStack() throws {
    let graph = Graph()
    let x = graph.constant(1.0)
    var y = x
    for _ in 0..<20_000 { y = y + x }
    let dx = try gradient(of: y, withRespectTo: x)
    #expect(dx.shape == .scalar)
  }

  @Test func mistakesAreExplained() throws {
    let graph = Graph()
    let x = graph.constant([1.0, 2])
    #expect(throws: Diagnostic.self) { try gradients(of: [cast(x, to: .int32)], withRespectTo: [x]) }
    #expect(throws: Diagnostic.self) {
      try gradients(of: [x * 2], withRespectTo: [x], upstream: [graph.constant([1.0, 2, 3])])
    }
    let stranger = Graph().constant(1.0)
    #expect(throws: Diagnostic.self) { try gradients(of: [x * 2], withRespectTo: [stranger]) }
    let loop = whileLoop([x]) {
      sum($0[0]) .< 10
    } body: {
      [$0[0] * 2]
    }
    let failure = #expect(throws: Diagnostic.self) { try gradients(of: [loop[0]], withRespectTo: [x]) }
    #expect(failure?.operation?.contains("While") == true)
  }

  @Test func customGradientsAreObeyed() throws {
    let graph = Graph()
    let x = graph.constant([1.0, 2])
    let y = withCustomGradient([x]) {
      [$0[0] * 2]
    } gradient: { _, _, dy in
      [dy[0] * 100]
    }
    let dx = try gradient(of: y[0], withRespectTo: x)
    #expect(try evaluate([y[0], dx]) == [[2, 4], [100, 100]])
  }
}
