import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors
import Testing

/// What users are told about operands that do not fit.
@Suite struct MathematicsMessageTests {
  struct Mistake: Sendable, CustomTestStringConvertible {
    var name: String
    var operand: String?
    var found: String
    var build: @Sendable (Graph) -> Output
    var testDescription: String { name }
  }

  static let mistakes: [Mistake] = [
    Mistake(name: "addition", operand: "y", found: "float32[4]") { g in
      zeros(g, 2, 3) + zeros(g, 4)
    },
    Mistake(name: "types", operand: "y", found: "int32[]") { g in zeros(g, 2) + g.constant(1) },
    Mistake(name: "negation", operand: "x", found: "uint8[2]") { g in -cast(zeros(g, 2), to: .uint8) },
    Mistake(name: "product", operand: "b", found: "float32[512, 10]") { g in
      matMul(zeros(g, 2, 784), zeros(g, 512, 10))
    },
    Mistake(name: "product's rank", operand: "a", found: "float32[2, 3, 4]") { g in
      matMul(zeros(g, 2, 3, 4), zeros(g, 4, 5))
    },
    Mistake(name: "stacks", operand: "y", found: "float32[3, 3, 1]") { g in
      batchMatMul(zeros(g, 2, 1, 3), zeros(g, 3, 3, 1))
    },
    Mistake(name: "axis", operand: "reduction_indices", found: "2") { g in sum(zeros(g, 2, 3), axes: [2]) },
    Mistake(name: "axis twice", operand: "reduction_indices", found: "[0, -2]") { g in
      sum(zeros(g, 2, 3), axes: [0, -2])
    },
    Mistake(name: "no maximum", operand: "input", found: "float32[0]") { g in argMax(zeros(g, 0), axis: 0) },
    Mistake(name: "bias", operand: "bias", found: "float32[4]") { g in biasAdd(zeros(g, 2, 3), zeros(g, 4)) },
    Mistake(name: "channels", operand: "filter", found: "[3, 3, 3, 8]") { g in
      conv2D(zeros(g, 1, 8, 8, 4), zeros(g, 3, 3, 3, 8), padding: .same)
    },
    Mistake(name: "window", operand: "input", found: "2 with padding VALID") { g in
      conv2D(zeros(g, 1, 2, 2, 1), zeros(g, 5, 5, 1, 1), strides: 2, padding: .valid)
    },
    Mistake(name: "stride", operand: nil, found: "[1, 0, 0, 1]") { g in
      maxPool(zeros(g, 1, 4, 4, 1), size: 2, strides: 0)
    },
    Mistake(name: "classes", operand: "labels", found: "int32[3]") { g in
      sparseSoftmaxCrossEntropy(logits: zeros(g, 2, 10), labels: g.constant([1, 2, 3]))
    },
    Mistake(name: "moments", operand: "scale", found: "float32[3]") { g in
      fusedBatchNorm(zeros(g, 1, 2, 2, 4), scale: zeros(g, 3), offset: zeros(g, 4)).y
    },
    Mistake(name: "rank of weights", operand: "weights", found: "float32[8, 3]") { g in
      lstm(zeros(g, 5, 2, 3), weights: zeros(g, 8, 3), recurrentWeights: zeros(g, 1, 8, 2)).y
    },
    Mistake(name: "gates", operand: "weights", found: "float32[1, 6, 3]") { g in
      lstm(zeros(g, 5, 2, 3), weights: zeros(g, 1, 6, 3), recurrentWeights: zeros(g, 1, 8, 2)).y
    },
    Mistake(name: "inputs", operand: "weights", found: "float32[1, 6, 4]") { g in
      gru(zeros(g, 5, 2, 3), weights: zeros(g, 1, 6, 4), recurrentWeights: zeros(g, 1, 6, 2)).y
    },
    Mistake(name: "state", operand: "initial[0]", found: "float32[1, 3, 2]") { g in
      gru(
        zeros(g, 5, 2, 3), weights: zeros(g, 1, 6, 3), recurrentWeights: zeros(g, 1, 6, 2),
        initialHidden: zeros(g, 1, 3, 2)
      ).hidden
    },
    Mistake(name: "directions", operand: "weights", found: "float32[3, 2, 3]") { g in
      simpleRNN(zeros(g, 5, 2, 3), weights: zeros(g, 3, 2, 3), recurrentWeights: zeros(g, 3, 2, 2)).y
    },
  ]

  @Test(arguments: mistakes) func namesOperandAndWhatWasFound(_ mistake: Mistake) throws {
    let graph = Graph()
    let output = mistake.build(graph)
    #expect(output.type == .poison)
    let diagnostic = try #require(graph.diagnostics.first)
    #expect(graph.diagnostics.count == 1)
    #expect(diagnostic.operand == mistake.operand)
    #expect(diagnostic.found == mistake.found)
    #expect(diagnostic.operation != nil)
  }

  @Test func unknownExtentsStayConnected() {
    let graph = Graph()
    let images = graph.placeholder(.float32, shape: [nil, 28, 28, 1])
    let y = conv2D(images, graph.constant(Tensor(zeros: .float32, shape: [5, 5, 1, 8])), strides: 2, padding: .same)
    #expect(y.shape[0] == images.shape[0])
    #expect(y.shape.dimensions?.dropFirst().map(\.known) == [14, 14, 8])
    #expect(mean(y, axes: [1, 2]).shape == Shape([images.shape[0], 8]))
    let labels = graph.placeholder(.int32, shape: [nil])
    let logits = matMul(reshape(images, [-1, 784]), graph.constant(Tensor(zeros: .float32, shape: [784, 10])))
    #expect(sparseSoftmaxCrossEntropy(logits: logits, labels: labels).shape.rank == 1)
    #expect(graph.diagnostics.isEmpty)
  }
}

private func zeros(_ graph: Graph, _ shape: Int...) -> Output {
  graph.constant(Tensor(zeros: .float32, shape: shape))
}
