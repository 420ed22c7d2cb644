import Martlet
import MartletTestSupport
import Testing

/// Generated kernels give the same bits for any number of threads: sums are cut by shapes alone.
@Suite struct DeterminismTests {
  @Test func longReductionsDoNotDependOnTheThreads() throws {
    var random = SeededGenerator(seed: 11)
    func array(_ shape: [Int]) -> Tensor {
      Tensor((0..<shape.reduce(1, *)).map { _ in Float.random(in: -1...1, using: &random) }, shape: shape)
    }
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2000, 170])
    let images = graph.placeholder(.float32, shape: [4, 30, 31, 24])
    let scale = graph.placeholder(.float32, shape: [24])
    let normal = fusedBatchNorm(images, scale: scale, offset: scale)
    let results = [
      sum(x), sum(x, axes: [0]), sum(x * x, axes: [1]), softmax(x), mean(exp(x), axes: [0]), argMax(x, axis: 1),
      relu(normal.y), normal.mean, normal.variance,
    ]
    let feeds = [x: array([2000, 170]), images: array([4, 30, 31, 24]), scale: array([24])]
    let found = try [1, 2, 3, 2].map { threads in
      try Session(graph, options: SessionOptions(device: .cpu, threads: threads)).run(results, feeds: feeds)
    }
    for other in found.dropFirst() {
      for (a, b) in zip(found[0], other) { #expect(a == b) }
    }
  }
}
