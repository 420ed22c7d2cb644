import Martlet
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletScheduling
import MartletTensors
import MartletTestSupport

/// The kernels of whole graphs, as a session plans them for a device without libraries.
enum GraphKernels {
  struct Kernel: Sendable {
    var program: StageProgram
    var label: String
  }

  /// Kernels of different structure, in the order in which graphs were added.
  private struct Collection {
    var kernels: [Kernel] = []
    var known: Set<StructuralKey> = []

    mutating func add(_ plan: ExecutionPlan, _ label: String) {
      for kernel in plan.kernels {
        guard let program = kernel.program, known.insert(program.structuralKey).inserted else { continue }
        kernels.append(Kernel(program: program, label: "\(label): \(kernel.label)"))
      }
    }
  }

  /// All of them, planned once.
  static let all = Result {
    let cases = ["arrays.json", "mathematics.json", "networks.json", "recurrent.json"].flatMap { GoldenCase.load($0) }
    // Of 16 bits some, as they only differ in what they load and store.
    let halves = GoldenCase.narrowed(cases).enumerated().filter { $0.offset % 4 == 0 }.map(\.element)
    return try golden(cases) + samples() + models() + golden(halves)
  }

  /// Of every operation of the catalogue in the golden files, with its gradient.
  private static func golden(_ cases: [GoldenCase]) throws -> [Kernel] {
    var all = Collection()
    for golden in cases {
      let operation = try Catalog.standard.operation(named: golden.operation, attributes: golden.attributeList())
      let graph = Graph()
      var fed: [Output] = []
      let operands = try golden.operands.map { array in
        let tensor = try array.tensor()
        // A range's length depends on its elements.
        guard tensor.elementType.isFloatingPoint, !(operation is RangeOperation) else { return graph.constant(tensor) }
        fed.append(graph.placeholder(tensor.elementType, shape: Shape(tensor.shape)))
        return fed[fed.count - 1]
      }
      var fetches = graph.add(operation, operands)
      if let upstream = golden.upstream, operation.differentiation == .rule {
        let weights = try upstream.map { graph.placeholder(try $0.tensor().elementType, shape: Shape($0.shape)) }
        fed += weights
        fetches += try gradients(of: fetches, withRespectTo: operands, upstream: weights).compactMap { $0 }
      }
      all.add(try plan(graph, fetches, fed), "\(golden)")
    }
    return all.kernels
  }

  /// Of the contract's samples, fed.
  private static func samples() throws -> [Kernel] {
    var all = Collection()
    for type in Catalog.standard.types {
      // Only what is differentiated has samples.
      if case .none = type.init().differentiation { continue }
      for sample in ContractSamples.standard.samples(of: type) {
        let graph = Graph()
        let operands = sample.point.map { graph.placeholder($0.elementType, shape: Shape($0.shape)) }
        all.add(try plan(graph, try sample.build(operands), operands), type.schema.name)
      }
    }
    return all.kernels
  }

  /// Of a step of training and of the layers that models are made of, in small sizes.
  private static func models() throws -> [Kernel] {
    var all = Collection()
    for model in Model.allCases {
      let (graph, fed, fetches, targets) = try model.graph()
      all.add(try plan(graph, fetches, fed, targets: targets), "\(model)")
    }
    return all.kernels
  }

  private static func plan(
    _ graph: Graph, _ fetches: [Output], _ fed: [Output], targets: [GraphNode] = []
  ) throws -> ExecutionPlan {
    var feeds: [Output: TensorType] = [:]
    for output in fed { feeds[output] = TensorType(output.elementType, output.shape) }
    return try Session(graph, options: SessionOptions(device: .interpreter)).plan(
      for: fetches, targets: targets, feeds: feeds)
  }
}

/// Small counterparts of the workloads.
enum Model: CaseIterable {
  case perceptron, convolutions, recurrence, attention, uniform, normal

  func graph() throws -> (Graph, fed: [Output], fetches: [Output], targets: [GraphNode]) {
    let graph = Graph()
    switch self {
    case .perceptron:
      let x = graph.placeholder(.float32, shape: [20, 30])
      let labels = graph.placeholder(.int32, shape: [20])
      let hidden = relu(dense(x, 30, 40, "first"))
      let loss = mean(sparseSoftmaxCrossEntropy(logits: dense(hidden, 40, 10, "second"), labels: labels))
      return (graph, [x, labels], [loss], [Adam().minimize(loss)])
    case .convolutions:
      let x = graph.placeholder(.float32, shape: [2, 9, 9, 3])
      let filter = graph.variable("filter", [3, 3, 3, 4], .zeros)
      let scale = graph.variable("scale", [4], .zeros)
      let y = relu(conv2D(x, filter, strides: 2, padding: .same) * scale)
      let pooled = maxPool(y, size: 2)
      let loss = mean(square(pooled))
      return (graph, [x], [loss], [GradientDescent(learningRate: 0.1).minimize(loss)])
    case .recurrence:
      let x = graph.placeholder(.float32, shape: [6, 8])
      let state = graph.placeholder(.float32, shape: [6, 5])
      let gates = dense(concat([x, state], axis: 1), 13, 20, "gates")
      let parts = split(gates, sizes: [5, 5, 5, 5], axis: 1)
      let cell = sigmoid(parts[0]) * tanh(parts[1]) + sigmoid(parts[2]) * state
      let loss = sum(sigmoid(parts[3]) * tanh(cell))
      return (graph, [x, state], [loss], [GradientDescent(learningRate: 0.1).minimize(loss)])
    case .attention:
      let positions = graph.placeholder(.int32, shape: [2, 7])
      let table = graph.variable("table", [50, 24], .zeros)
      let x = gather(table, positions, axis: 0)
      let normal =
        (x - mean(x, axes: [-1], keepDims: true))
        * rsqrt(
          mean(square(x - mean(x, axes: [-1], keepDims: true)), axes: [-1], keepDims: true)
            + graph.constant(Float(1e-5)))
      let scores = batchMatMul(normal, normal, adjointY: true)
      let loss = mean(square(batchMatMul(softmax(scores), x)))
      return (graph, [positions], [loss], [Adam().minimize(loss)])
    case .uniform: return (graph, [], [graph.randomUniform([33, 65], seed: 7)], [])
    case .normal: return (graph, [], [graph.randomNormal([40, 50], seed: 8)], [])
    }
  }

  private func dense(_ x: Output, _ from: Int, _ to: Int, _ name: String) -> Output {
    matMul(x, x.graph.variable("\(name)/weights", [from, to], .zeros))
      + x.graph.variable("\(name)/bias", [to], .zeros)
  }
}
