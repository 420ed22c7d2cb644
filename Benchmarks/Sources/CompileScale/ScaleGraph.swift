import Foundation
import Martlet

/// A graph whose compilation is measured.
struct ScaleGraph {
  var graph: Graph
  var feeds: [Output]
  var fetches: [Output]
  var targets: [GraphNode] = []

  /// A training step of a long short-term memory, unrolled until the graph has about so many operations.
  static func longShortTermMemory(operations: Int) throws -> ScaleGraph {
    // How many operations a step is, with its gradients, is what a short one has more than a shorter one.
    let (few, more) = (trainingStep(steps: 4).graph.nodeCount, trainingStep(steps: 8).graph.nodeCount)
    return trainingStep(steps: max(1, (operations - few) * 4 / (more - few) + 4))
  }

  private static func trainingStep(steps: Int) -> ScaleGraph {
    let (batch, inputs, cells, classes) = (4, 8, 16, 8)
    let graph = Graph()
    let examples = graph.placeholder(.float32, shape: [steps, batch, inputs], name: "examples")
    let labels = graph.placeholder(.int32, shape: [batch], name: "labels")
    func weights(_ name: String, _ shape: [Int]) -> Output {
      graph.variable(name, shape, .normal(standardDeviation: 0.1))
    }
    let (input, recurrent) = (weights("input", [inputs, 4 * cells]), weights("recurrent", [cells, 4 * cells]))
    let (bias, output) = (weights("bias", [4 * cells]), weights("output", [cells, classes]))
    var hidden = fill([batch, cells], with: examples.scalar(0))
    var cell = hidden
    for x in unstack(examples, count: steps) {
      let gates = split(biasAdd(matMul(x, input) + matMul(hidden, recurrent), bias), into: 4, axis: 1)
      cell = sigmoid(gates[1]) * cell + sigmoid(gates[0]) * tanh(gates[2])
      hidden = sigmoid(gates[3]) * tanh(cell)
    }
    let loss = mean(sparseSoftmaxCrossEntropy(logits: matMul(hidden, output), labels: labels))
    let step = GradientDescent(learningRate: 0.1).minimize(loss)
    return ScaleGraph(graph: graph, feeds: [examples, labels], fetches: [loss], targets: [step])
  }

  /// A graph of so many nodes, all different.
  static func distinct(nodes: Int) throws -> ScaleGraph {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [16, 16], name: "x")
    var values = [x, x * 0.5]
    var state: UInt64 = 1
    /// One of the last 64 values, the same ones in every process.
    func pick() -> Output {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return values[values.count - 1 - Int(state >> 33) % min(64, values.count)]
    }
    while graph.nodeCount < nodes {
      let (a, b) = (pick(), pick())
      switch values.count % 8 {
      case 0: values.append(matMul(a, b))
      case 1, 4: values.append(a + b)
      case 2, 5: values.append(a * b)
      case 3: values.append(tanh(a - b))
      case 6: values.append(maximum(a, b))
      default: values.append(a * 0.5 + b)
      }
    }
    return ScaleGraph(graph: graph, feeds: [x], fetches: [sum(addN(Array(values.suffix(64))))])
  }

  /// Compiles the graph and runs it once, and prints what that takes, in seconds.
  func measure(_ name: String) throws {
    let session = try Session(graph, options: SessionOptions(codeCache: .off))
    if !graph.trainableVariables.isEmpty { try session.run(graph.initializer) }
    var values: [Output: Tensor] = [:]
    for feed in feeds { values[feed] = Tensor(zeros: feed.elementType, shape: feed.shape.known ?? []) }
    let start = ContinuousClock.now
    _ = try session.run(fetches, feeds: values, targets: targets)
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    guard let compilation = session.statistics.compilations.last else { return }
    let profile = compilation.profile
    let passes = profile.passes.flatMap { pass in
      [(pass.name, pass.seconds)] + pass.passes.map { ("  " + $0.name, $0.seconds) }
    }
    let times =
      [("extraction", profile.extractionSeconds)] + passes
      + [
        ("all passes", profile.passes.reduce(0) { $0 + $1.seconds }), ("planning", profile.planningSeconds),
        ("code generation", profile.binding.codeSeconds), ("libraries", profile.binding.librarySeconds),
        ("compilation", compilation.seconds), ("first run", seconds),
      ]
    print(
      "\(name): \(graph.nodeCount) nodes, \(compilation.instructionCount) instructions, "
        + "\(compilation.kernelCount) kernels, \(profile.binding.generatedKernels) of them distinct")
    for (stage, seconds) in times { print(String(format: "%10.4f s  ", seconds) + stage) }
  }
}
