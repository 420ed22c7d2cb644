import Martlet
import Testing

/// Whole training steps in one plan.
@Suite struct TrainingTests {
  /// A linear model of points on a plane finds the plane.
  @Test(arguments: [true, false])
  func fitsAPlane(isFusing: Bool) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, 2], name: "x")
    let y = graph.placeholder(.float32, shape: [nil, 1], name: "y")
    let w = graph.variable("w", [2, 1], .zeros)
    let b = graph.variable("b", [1], .zeros)
    let error = matMul(x, w) + b - y
    let loss = mean(error * error)
    let train = GradientDescent(learningRate: 0.1).minimize(loss)
    let session = try Session(
      graph, options: SessionOptions(isFusing: isFusing, instruments: [VerifyInstrument()]))
    try session.run(graph.initializer)
    let points: [Float] = [0, 0, 1, 0, 0, 1, 1, 1, -1, 2, 2, -1, -1, -1, 0.5, -2]
    var targets: [Float] = []
    for i in stride(from: 0, to: points.count, by: 2) { targets.append(3 * points[i] - 2 * points[i + 1] + 0.5) }
    let step = try session.makeCallable(fetches: [loss], targets: [train], feeds: [x, y])
    var losses: [Float] = []
    for _ in 0..<200 {
      losses.append(try step(Tensor(points, shape: [8, 2]), Tensor(targets, shape: [8, 1]))[0].item())
    }
    #expect(losses[0] > 1)
    #expect(losses[199] < 1e-5)
    #expect(session.statistics.compilations.count == 2)
    let found = try session.value(of: w).scalars(as: Float.self) + session.value(of: b).scalars()
    for (value, wanted) in zip(found, [3, -2, 0.5] as [Float]) { #expect(abs(value - wanted) < 1e-2) }
  }

  @Test func variablesAreUpdatedWithoutCopies() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [64, 32], name: "x")
    let labels = graph.placeholder(.int32, shape: [64], name: "labels")
    let hidden = relu(matMul(x, graph.variable("w1", [32, 100], .glorotUniform)) + graph.variable("b1", [100], .zeros))
    let logits = matMul(hidden, graph.variable("w2", [100, 10], .glorotUniform)) + graph.variable("b2", [10], .zeros)
    let loss = mean(sparseSoftmaxCrossEntropy(logits: logits, labels: labels))
    let train = Adam().minimize(loss)
    let session = try Session(graph, options: SessionOptions(instruments: [VerifyInstrument()]))
    let plan = try session.plan(
      for: [loss], targets: [train],
      feeds: [x: TensorType(.float32, [64, 32]), labels: TensorType(.int32, [64])])
    #expect(PlanVerifier.violations(of: plan) == [])
    #expect(!plan.blocks[0].instructions.contains { $0.action == .copy })
    try session.run(graph.initializer)
    let feeds = [
      x: Tensor((0..<2048).map { Float(($0 * 37) % 101) / 101 }, shape: [64, 32]),
      labels: Tensor((0..<64).map { Int32($0 % 10) }),
    ]
    let first: Float = try session.run(loss, feeds: feeds).item()
    for _ in 0..<50 { try session.run([], feeds: feeds, targets: [train]) }
    #expect(try session.run(loss, feeds: feeds).item() < first * 0.9)
  }
}
