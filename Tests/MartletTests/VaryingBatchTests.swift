import Martlet
import Synchronization
import Testing

/// What it takes to run with another batch than before, such as the last one of an epoch.
struct VaryingBatchTests {
  private static let (inputs, classes) = (29, 7)

  private static func batch(_ count: Int) -> (examples: Tensor, labels: Tensor) {
    let examples = (0..<count * inputs).map { Float(($0 * 37) % 101) / 101 - 0.5 }
    return (
      Tensor(examples, shape: [count, inputs]), Tensor((0..<count).map { Int32(($0 * 5) % classes) }, shape: [count])
    )
  }

  /// A session that trains, and its step.
  private static func training() throws -> (session: Session, step: Callable) {
    let graph = Graph()
    let examples = graph.placeholder(.float32, shape: [nil, inputs], name: "examples")
    let labels = graph.placeholder(.int32, shape: [nil], name: "labels")
    func variable(_ name: String, _ shape: [Int]) -> Output {
      let count = shape.reduce(1, *)
      let values = (0..<count).map { Float(($0 * 53) % 97) / 97 - 0.5 }
      return graph.variable(name, shape, .tensor(Tensor(values, shape: shape)))
    }
    let hidden = tanh(biasAdd(matMul(examples, variable("w1", [inputs, 31])), variable("b1", [31])))
    let logits = biasAdd(matMul(hidden, variable("w2", [31, classes])), variable("b2", [classes]))
    let loss = mean(sparseSoftmaxCrossEntropy(logits: logits, labels: labels))
    let step = Adam(learningRate: 0.01).minimize(loss)
    let session = try Session(graph, options: SessionOptions(device: .cpu, codeCache: .off))
    try session.run(graph.initializer)
    return (session, try session.makeCallable(fetches: [loss], targets: [step], feeds: [examples, labels]))
  }

  private static func run(_ step: Callable, _ batches: [Int]) throws -> [UInt32] {
    try batches.map { count in
      let (examples, labels) = batch(count)
      return try step(examples, labels)[0].item(as: Float.self).bitPattern
    }
  }

  @Test func aPlanIsMadeOnceForEachBatch() throws {
    let (session, step) = try Self.training()
    let losses = try Self.run(step, [32, 32, 19, 32, 32, 19, 19, 32])
    let compilations = session.statistics.compilations.dropFirst()
    #expect(compilations.map(\.reason).dropFirst() == [.shapes])
    let (first, second) = (compilations[1].profile.binding, compilations[2].profile.binding)
    #expect(first.quickKernels == 0)
    // The optimizer's code does not depend on the batch.
    #expect(second.reusedKernels > 0)
    #expect(second.generatedKernels < compilations[1].kernelCount)
    #expect(losses.allSatisfy { Float(bitPattern: $0).isFinite })
  }

  /// A kernel whose iterations are rows has one code for any number of them.
  @Test func rowsNeedNoSecondCompilation() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, 1111], name: "x")
    let y = softmax(x * 0.25)
    let session = try Session(graph, options: SessionOptions(device: .cpu, codeCache: .off))
    for (i, count) in [320, 200, 256].enumerated() {
      let values = (0..<count * 1111).map { Float($0 % 89) * 0.1 }
      let result = try session.run(y, feeds: [x: Tensor(values, shape: [count, 1111])])
      let binding = session.statistics.compilations[i].profile.binding
      #expect((binding.generatedKernels, binding.reusedKernels) == (i == 0 ? (1, 0) : (0, 1)))
      let last = result.scalars(as: Float.self).suffix(1111)
      #expect(abs(last.reduce(0, +) - 1) < 1e-4)
    }
  }

  /// The same steps in sessions for which the order of the batches makes other plans the hurried ones.
  @Test func hurriedCodeComputesTheSameBits() throws {
    let (_, step) = try Self.training()
    let losses = try Self.run(step, [23, 17, 23, 17])
    let (session, other) = try Self.training()
    // The other batch first, without effect on what follows.
    _ = try Self.run(other, [17])
    try session.run(session.graph.initializer)
    #expect(try Self.run(other, [23, 17, 23, 17]) == losses)
  }

  @Test func codeThatRunsOftenChangesWithoutNotice() throws {
    let (session, step) = try Self.training()
    _ = try Self.run(step, [32])
    try session.run(session.graph.initializer)
    let first = try Self.run(step, Array(repeating: 13, count: 3))
    _ = try Self.run(step, Array(repeating: 13, count: 600))
    try session.run(session.graph.initializer)
    #expect(try Self.run(step, Array(repeating: 13, count: 3)) == first)
  }

  /// What is computed from weights serves all batches.
  @Test func constantsAreSharedByPlans() throws {
    let (inputs, outputs) = (96, 128)
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, inputs], name: "x")
    let weights = graph.constant(
      Tensor((0..<outputs * inputs).map { Float(($0 * 29) % 61) / 61 - 0.5 }, shape: [outputs, inputs]))
    let scale = graph.constant(Tensor((0..<outputs).map { 1 + Float($0 % 5) / 4 }, shape: [outputs]))
    // Transposed and scaled when the graph is compiled.
    let y = relu(matMul(x, transpose(weights, permutation: [1, 0]) * scale))
    let session = try Session(graph, options: SessionOptions(device: .cpu, codeCache: .off))
    let plans = try [64, 24].map { try session.plan(for: [y], feeds: [x: TensorType(.float32, [$0, inputs])]) }
    let computed = plans.map { $0.constants.filter { $0.type == TensorType(.float32, [inputs, outputs]) } }
    #expect(computed.map(\.count) == [1, 1])
    #expect(computed[0].first === computed[1].first)

    func element(_ row: Int, _ column: Int) -> Double {
      let sum = (0..<inputs).reduce(0.0) { sum, k in
        let weight = (Double(((column * inputs + k) * 29) % 61) / 61 - 0.5) * (1 + Double(column % 5) / 4)
        return sum + (Double(((row * inputs + k) * 37) % 101) / 101 - 0.5) * weight
      }
      return max(sum, 0)
    }
    for count in [64, 24, 40, 64] {
      let values = (0..<count * inputs).map { Float(($0 * 37) % 101) / 101 - 0.5 }
      let result = try session.run(y, feeds: [x: Tensor(values, shape: [count, inputs])]).scalars(as: Float.self)
      for (row, column) in [(0, 0), (1, 77), (count - 1, outputs - 1)] {
        #expect(abs(Double(result[row * outputs + column]) - element(row, column)) < 1e-4)
      }
    }
  }

  @Test func aDroppedPlanIsMadeAgainForThatReason() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil], name: "x")
    let y = x + 1
    let lines = Mutex<[String]>([])
    var options = SessionOptions(device: .cpu, codeCache: .off) { line in lines.withLock { $0.append(line) } }
    options.planCapacity = 16
    let session = try Session(graph, options: options)
    for count in Array(1...17) + [1, 17] {
      #expect(try session.run(y, feeds: [x: Tensor(zeros: .float32, shape: [count])]).elementCount == count)
    }
    let reasons = session.statistics.compilations.map(\.reason)
    #expect(reasons == [.first] + Array(repeating: .shapes, count: 16) + [.eviction])
    #expect(lines.withLock { $0.filter { $0.contains("its plan was dropped for others") }.count } == 1)
  }
}
