import Foundation
import Martlet
import Testing

/// A block of a transformer that is trained.
@Suite struct AttentionTrainingTests {
  private static let (batch, length, heads, width) = (2, 32, 4, 16)
  private static let size = heads * width

  /// Numbers that the program which the expectations come from computes as well.
  private func numbers(_ shape: [Int], _ seed: Double, _ scale: Double) -> Tensor {
    Tensor((0..<shape.reduce(1, *)).map { Float(sin(Double($0) * 0.7 + seed) * scale) }, shape: shape)
  }

  /// Causal self-attention and two layers, both with what they are given added, and the mean square of the distance
  /// from a target.
  private func loss(_ graph: Graph) -> (loss: Output, weights: [Output]) {
    let (batch, length, heads, width, size) = (Self.batch, Self.length, Self.heads, Self.width, Self.size)
    let x = graph.constant(numbers([batch, length, size], 1, 1))
    let target = graph.constant(numbers([batch, length, size], 2, 1))
    let shapes = Array(repeating: [size, size], count: 4) + [[size, 2 * size], [2 * size, size]]
    let weights = shapes.enumerated().map { n, shape in
      graph.variable("w\(n)", shape, .tensor(numbers(shape, Double(3 + n), 0.1)))
    }
    func rows(_ x: Output) -> Output { reshape(x, [batch * length, size]) }
    func projected(_ n: Int) -> Output {
      transpose(reshape(matMul(rows(x), weights[n]), [batch, length, heads, width]), permutation: [0, 2, 1, 3])
    }
    let (queries, keys) = (graph.range(0, length), graph.range(0, length))
    let isSeen = reshape(queries, [length, 1]) .>= reshape(keys, [1, length])
    let scores = batchMatMul(projected(0), projected(1), adjointY: true) / Double(width).squareRoot()
    let attention = batchMatMul(softmax(select(isSeen, scores, graph.constant(-1e9 as Float))), projected(2))
    let merged = rows(transpose(attention, permutation: [0, 2, 1, 3]))
    let hidden = rows(x) + matMul(merged, weights[3])
    let y = hidden + matMul(relu(matMul(hidden, weights[4])), weights[5])
    return (mean(square(y - rows(target))), weights)
  }

  /// Five losses and the norms of the first gradients are PyTorch's: of `scaled_dot_product_attention(q, k, v,
  /// is_causal=True)` with the same numbers in double precision, and `torch.autograd.grad`.
  @Test func learnsAsElsewhere() throws {
    let graph = Graph()
    let (loss, weights) = loss(graph)
    let slopes = try gradients(of: [loss], withRespectTo: weights).compactMap { $0 }
    let train = GradientDescent(learningRate: 0.2).minimize(loss)
    let session = try Session(graph, options: .cpu)
    try session.run(graph.initializer)
    let norms = [0.405104075, 0.387521938, 0.460774021, 0.119178548, 1.490491200, 0.053885208]
    for (slope, norm) in zip(try session.run(slopes), norms) {
      let squares = slope.scalars(as: Float.self).map { Double($0) * Double($0) }
      #expect(abs(squares.reduce(0, +).squareRoot() - norm) < 1e-5 * norm)
    }
    for expected in [0.408778561, 0.060209391, 0.017074988, 0.007839238, 0.005239708] {
      let found: Float = try session.run([loss], targets: [train])[0].item()
      #expect(abs(Double(found) - expected) < 1e-5 * expected)
    }
  }

  /// Of the step's weights none is in memory; in an exact session all are.
  @Test(arguments: [false, true])
  func stepKeepsNoWeights(isExact: Bool) throws {
    let graph = Graph()
    let loss = loss(graph).loss
    let train = GradientDescent(learningRate: 0.2).minimize(loss)
    let session = try Session(graph, options: SessionOptions(device: .cpu, isExact: isExact))
    let plan = try session.plan(for: [loss], targets: [train])
    #expect(PlanVerifier.violations(of: plan) == [])
    let weights = plan.slots.contains {
      $0.type?.shape.known == [Self.batch, Self.heads, Self.length, Self.length]
    }
    #expect(weights == (isExact || !AttentionTests.isFormed))
  }
}
