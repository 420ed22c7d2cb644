import Martlet
import MartletTestSupport
import Testing

/// The same bits, run after run and for any number of threads.
@Suite(.serialized) struct DeterminismTests {
  /// Expects the same bits from two runs each with 1 to 4 threads.
  private func expectSameBits(_ comment: String, _ run: (Int) throws -> [Tensor]) throws {
    let expected = try run(1)
    for threads in [1, 2, 3, 4] {
      let isSame = try run(threads) == expected
      #expect(isSame, "\(comment) with \(threads) threads")
    }
  }

  private func expectSameBits(
    _ comment: String, _ build: (Graph) throws -> (fetch: Output, feeds: [(Output, [Int])])
  ) throws {
    try expectSameBits(comment) { threads in
      let graph = Graph()
      let (fetch, inputs) = try build(graph)
      var feeds: [Output: Tensor] = [:]
      for (i, (value, shape)) in inputs.enumerated() { feeds[value] = randomTensor(shape, seed: UInt64(i + 1)) }
      let session = try Session(graph, options: SessionOptions(threads: threads, isDeterministic: true))
      return [try session.run(fetch, feeds: feeds), try session.run(fetch, feeds: feeds)]
    }
  }

  @Test(arguments: [
    (1, 1000, 2048), (1000, 1, 3000), (10, 10, 20000), (128, 512, 784), (300, 70, 130),
  ]) func products(m: Int, n: Int, k: Int) throws {
    for isTransposed in [false, true] {
      let shape = isTransposed ? [k, m] : [m, k]
      try expectSameBits("\(m)×\(n)×\(k)") { graph in
        let a = graph.placeholder(.float32, shape: Shape(shape))
        let b = graph.placeholder(.float32, shape: Shape([k, n]))
        return (matMul(a, b, transposeA: isTransposed), [(a, shape), (b, [k, n])])
      }
    }
  }

  @Test func productsWithEpilogues() throws {
    try expectSameBits("epilogue") { graph in
      let x = graph.placeholder(.float32, shape: [64, 200])
      let w = graph.constant(randomTensor([200, 96], seed: 7))
      return (relu(biasAdd(matMul(x, w), graph.constant(randomTensor([96], seed: 8)))), [(x, [64, 200])])
    }
  }

  @Test(arguments: [
    // Images, extent, channels in and out, window, stride.
    [8, 14, 32, 64, 5, 1], [3, 32, 3, 32, 7, 2], [2, 7, 7, 5, 3, 1], [2, 28, 64, 64, 1, 2], [2, 18, 32, 32, 3, 1],
  ]) func convolutions(sizes: [Int]) throws {
    let image = [sizes[0], sizes[1], sizes[1], sizes[2]]
    let filter = [sizes[4], sizes[4], sizes[2], sizes[3]]
    for kind in 0..<3 {
      try expectSameBits("\(sizes), \(kind)") { graph in
        let x = graph.placeholder(.float32, shape: Shape(image))
        let w = graph.placeholder(.float32, shape: Shape(filter))
        let y = conv2D(x, w, strides: PerDimension(sizes[5]), padding: .same)
        let fetch = kind == 0 ? y : try gradient(of: square(y), withRespectTo: kind == 1 ? x : w)
        return (fetch, [(x, image), (w, filter)])
      }
    }
  }

  @Test(arguments: [false, true]) func pooling(isMaximum: Bool) throws {
    let shape = [3, 56, 56, 16]
    try expectSameBits("pooling") { graph in
      let x = graph.placeholder(.float32, shape: Shape(shape))
      let y =
        isMaximum
        ? maxPool(x, size: 3, strides: 2, padding: .same) : avgPool(x, size: 3, strides: 2, padding: .same)
      return (try gradient(of: square(y), withRespectTo: x), [(x, shape)])
    }
  }

  @Test func generatedKernels() throws {
    let shape = [300, 1000]
    try expectSameBits("reductions") { graph in
      let x = graph.placeholder(.float32, shape: Shape(shape))
      let y = log(sum(exp(x), axes: [0])) + sum(softmax(x) * cumulativeSum(x, axis: 1), axes: [0])
      return (sum(y * mean(square(x))), [(x, shape)])
    }
  }

  /// Whatever is measured, and whatever is chosen then.
  @Test func tuning() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [400, 1100])
    let y = softmax(tanh(x) * 0.7) + transpose(transpose(x) * 2)
    let feeds = [x: randomTensor([400, 1100], seed: 5)]
    func results(_ tunes: Bool) throws -> [Tensor] {
      let options = SessionOptions(device: .cpu, codeCache: .off, tunesSchedules: tunes)
      return try Session(graph, options: options).run([y, sum(y, axes: [0]), mean(y)], feeds: feeds)
    }
    #expect(try results(true) == results(false))
  }

  /// Training steps with random numbers, variables and an optimizer.
  @Test func training() throws {
    try expectSameBits("training") { threads in
      let graph = Graph()
      let x = graph.placeholder(.float32, shape: [32, 12, 12, 3])
      let labels = graph.placeholder(.int32, shape: [32])
      let filter = graph.variable("filter", [3, 3, 3, 8], .glorotUniform)
      let w = graph.variable("w", [288, 10], .glorotUniform)
      let features = maxPool(relu(conv2D(x, filter, padding: .same)), size: 3, strides: 2, padding: .same)
      let noise = graph.randomNormal([32, 288], seed: 3) * 0.1
      let logits = matMul(reshape(features, [32, 288]) + noise, w)
      let loss = mean(sparseSoftmaxCrossEntropy(logits: logits, labels: labels))
      let step = Adam().minimize(loss)
      let session = try Session(graph, options: SessionOptions(threads: threads, isDeterministic: true))
      try session.run(graph.initializer)
      let feeds: [Output: Tensor] = [
        x: randomTensor([32, 12, 12, 3], seed: 1), labels: Tensor((0..<32).map { Int32($0 % 10) }),
      ]
      var losses: [Tensor] = []
      for _ in 0..<3 { losses += try session.run([loss], feeds: feeds, targets: [step]) }
      return losses + [try session.value(of: filter), try session.value(of: w)]
    }
  }

  @Test(arguments: 0..<6 as Range<UInt64>) func randomGraphs(seed: UInt64) throws {
    try expectSameBits("seed \(seed)") { threads in
      let random = RandomGraph(seed: seed)
      let session = try Session(random.graph, options: SessionOptions(threads: threads, isDeterministic: true))
      for (handle, value) in random.variables { try session.assign(handle, value) }
      return try session.run(random.fetches, feeds: random.feeds, targets: random.targets)
    }
  }
}
