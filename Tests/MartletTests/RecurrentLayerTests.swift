import Martlet
import MartletTestSupport
import Testing

/// Recurrent layers in graphs and sessions; golden files have their numbers.
@Suite struct RecurrentLayerTests {
  private struct Layer {
    let graph: Graph
    let x: Output
    let weights: Output
    let recurrentWeights: Output
    let biases: Output
    let sequence: Tensor

    init(steps: Int = 4, batch: Int? = 3, inputs: Int = 2, hidden: Int = 2, gates: Int, directions: Int = 1) {
      let graph = Graph()
      var numbers = SampleNumbers(seed: 3)
      func floats(_ shape: [Int]) -> Tensor {
        Tensor(numbers.tensor(shape, in: -1...1).scalars(as: Double.self).map { Float($0) }, shape: shape)
      }
      weights = graph.constant(floats([directions, gates * hidden, inputs]))
      recurrentWeights = graph.constant(floats([directions, gates * hidden, hidden]))
      biases = graph.constant(floats([directions, 2, gates * hidden]))
      x = graph.placeholder(.float32, shape: [steps, batch, inputs])
      sequence = floats([steps, batch ?? 3, inputs])
      self.graph = graph
    }

    func run(_ fetches: [Output]) throws -> [Tensor] { try Session(graph).run(fetches, feeds: [x: sequence]) }
  }

  @Test func whatIsLeftOutIsZero() throws {
    let layer = Layer(batch: nil, gates: 4)
    let short = lstm(layer.x, weights: layer.weights, recurrentWeights: layer.recurrentWeights)
    let zeros = layer.graph.constant(Tensor(zeros: .float32, shape: [1, 3, 2]))
    let long = lstm(
      layer.x, weights: layer.weights, recurrentWeights: layer.recurrentWeights,
      biases: layer.graph.constant(Tensor(zeros: .float32, shape: [1, 2, 8])), initialHidden: zeros, initialCell: zeros)
    #expect(short.y.shape[1] == layer.x.shape[1])
    #expect(short.y.shape[2].known == 2)
    let results = try layer.run([short.y, short.hidden, short.cell, long.y, long.hidden, long.cell])
    for i in 0..<3 { expectClose(results[i], results[3 + i], relative: 1e-6) }
  }

  /// The second of two directions is the single one of the reversed sequence.
  @Test func aReversedLayerIsTheSecondDirection() throws {
    let layer = Layer(gates: 3, directions: 2)
    let both = gru(
      layer.x, weights: layer.weights, recurrentWeights: layer.recurrentWeights, biases: layer.biases)
    let back = gru(
      layer.x, weights: layer.weights[1..<2], recurrentWeights: layer.recurrentWeights[1..<2],
      biases: layer.biases[1..<2], isReversed: true)
    let results = try layer.run([both.y[.all, .all, 2..<4], both.hidden[1..<2], back.y, back.hidden])
    expectClose(results[2], results[0], relative: 1e-5, absolute: 1e-6)
    expectClose(results[3], results[1], relative: 1e-5, absolute: 1e-6)
  }

  @Test func withoutStepsTheStateStays() throws {
    let layer = Layer(steps: 0, gates: 1)
    let initial = layer.graph.constant(Tensor((0..<6).map { Float($0) }, shape: [1, 3, 2]))
    let (y, hidden) = simpleRNN(
      layer.x, weights: layer.weights, recurrentWeights: layer.recurrentWeights, initialHidden: initial)
    let gradient = try gradients(of: [sum(y) + sum(hidden * hidden)], withRespectTo: [initial])
    let results = try layer.run([y, hidden, try #require(gradient[0])])
    #expect(results[0].shape == [0, 3, 2])
    #expect(results[1].scalars(as: Float.self) == [0, 1, 2, 3, 4, 5])
    #expect(results[2].scalars(as: Float.self) == [0, 2, 4, 6, 8, 10])
  }

  @Test func aNumberOfStepsMustBeKnown() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, 3, 2])
    let w = graph.constant(Tensor(zeros: .float32, shape: [1, 2, 2]))
    let y = simpleRNN(x, weights: w, recurrentWeights: w).y
    let error = #expect(throws: Diagnostic.self) { try graph.graphDef(outputs: [y]) }
    #expect(error?.operand == "x")
    #expect(error?.found == "float32[?, 3, 2]")
  }

  /// Written out, the gradient's own forward steps are those of the layer, and products over all steps are one.
  @Test(arguments: [RecurrentCell.lstm, .gru, .tanh]) func aGradientRepeatsNothing(_ cell: RecurrentCell) throws {
    let steps = 5
    let layer = Layer(steps: steps, gates: cell.gateCount)
    let x = layer.x
    let w = identity(layer.weights)
    let r = identity(layer.recurrentWeights)
    let y =
      switch cell {
      case .lstm: lstm(x, weights: w, recurrentWeights: r, biases: layer.biases).y
      case .gru: gru(x, weights: w, recurrentWeights: r, biases: layer.biases).y
      default: simpleRNN(x, weights: w, recurrentWeights: r, biases: layer.biases).y
      }
    let found = try gradients(of: [sum(y * y)], withRespectTo: [x, w, r]).compactMap { $0 }
    let program = try Session(layer.graph, options: SessionOptions(device: .cpu)).program(
      for: [y] + found, feeds: [x: layer.sequence.type], until: .canonical)
    let body = program.main.body
    let nodes = body.topologicalOrder(results: program.main.results, targets: program.main.targets)
    // Forward one for the inputs and one a step but the first, whose state and weights are constants; backward one a step but
    // the first, for whose state nobody asks, and one each for inputs, weights and recurrent weights.
    #expect(nodes.count { body.schema(of: $0).name == "MatMul" } == 1 + 2 * (steps - 1) + 3)
  }

  /// What is written for other systems has their operations only, and gives the same as the layer, which a device may have a
  /// call for.
  @Test(arguments: RecurrentCell.allCases, [1, 2]) func exportedStepsGiveTheSame(
    cell: RecurrentCell, directions: Int
  ) throws {
    let layer = Layer(batch: directions == 1 ? nil : 3, gates: cell.gateCount, directions: directions)
    let states = (0..<cell.stateCount).map { i in
      layer.graph.constant(Tensor((0..<6 * directions).map { Float($0 - i) / 8 }, shape: [directions, 3, 2]))
    }
    let operands = [layer.x] + ([layer.weights, layer.recurrentWeights, layer.biases] + states).map { identity($0) }
    let results = layer.graph.add(RecurrentLayer(cell), operands)
    let loss = results.map { sum($0 * $0) }.reduce(sum(layer.x), +)
    let found = try gradients(of: [loss], withRespectTo: operands).map { try #require($0) }
    let fetches = (results + found).enumerated().map { identity($1, name: "fetch_\($0)") }
    let record = try layer.graph.graphDef(outputs: fetches + [layer.x])
    #expect(!record.nodes.contains { $0.op.hasPrefix("_") })
    let again = try Graph(record)
    let steps = try Session(again).run(
      try fetches.map { try #require(again.output(named: $0.name)) },
      feeds: [try #require(again.output(named: layer.x.name)): layer.sequence])
    for (i, (found, expected)) in zip(try layer.run(fetches), steps).enumerated() {
      expectClose(found, expected, relative: 1e-5, absolute: 1e-5, "fetch \(i)")
    }
  }
}
