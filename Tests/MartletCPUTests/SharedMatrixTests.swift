import Martlet
import MartletTestSupport
import Testing

/// Matrices that several products multiply by, which are laid out once.
@Suite struct SharedMatrixTests {
  private func tensor(_ shape: [Int], seed: UInt64) -> Tensor {
    var generator = SeededGenerator(seed: seed)
    return Tensor((0..<shape.reduce(1, *)).map { _ in Float.random(in: -0.2...0.2, using: &generator) }, shape: shape)
  }

  /// Compares with the interpreter; how many products read panels, and how many of the plan's calls do not.
  private func products(
    _ graph: Graph, _ fetches: [Output], _ feeds: [Output: Tensor]
  ) throws -> (packed: Int, plain: Int) {
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run(fetches, feeds: feeds)
    let session = try Session(graph)
    for _ in 0..<2 {
      for (found, expected) in zip(try session.run(fetches, feeds: feeds), expected) {
        expectClose(found, expected, relative: 1e-4, absolute: 1e-5)
      }
    }
    let plan = try session.plan(for: fetches, feeds: feeds.mapValues(\.type))
    #expect(PlanVerifier.violations(of: plan) == [])
    var counts = (packed: 0, plain: 0)
    for instruction in plan.blocks[0].instructions {
      guard case .library(let contract) = instruction.action,
        case .matrixProduct(let product) = plan.contracts[contract]
      else { continue }
      if product.panelWidth == nil { counts.plain += 1 } else { counts.packed += 1 }
    }
    return counts
  }

  /// A recurrent network of three steps: each multiplies by the weights, and their gradients by the weights transposed.
  @Test func unrolledRecurrence() throws {
    let graph = Graph()
    let w = graph.placeholder(.float32, shape: [128, 128], name: "w")
    let x = graph.placeholder(.float32, shape: [32, 128], name: "x")
    var h = x
    for _ in 0..<3 { h = tanh(matMul(h, w) + x) }
    let dx = try gradients(of: [sum(h * h)], withRespectTo: [x]).compactMap { $0 }
    let feeds = [w: tensor([128, 128], seed: 1), x: tensor([32, 128], seed: 2)]
    #expect(try products(graph, [h], feeds) == (3, 0))
    // Backwards as many, each with the weights read transposed.
    #expect(try products(graph, [h] + dx, feeds) == (6, 0))
  }

  /// A matrix that is used once, in two ways, or whose columns make no whole panels stays as it is.
  @Test(arguments: [(128, [false]), (128, [false, true]), (100, [false, false])])
  func staysAsItIs(example: (n: Int, isTransposed: [Bool])) throws {
    let n = example.n
    let graph = Graph()
    let w = graph.placeholder(.float32, shape: [n, n], name: "w")
    let x = graph.placeholder(.float32, shape: [40, n], name: "x")
    var y = x
    for isTransposed in example.isTransposed { y = matMul(y, w, transposeB: isTransposed) }
    let found = try products(graph, [y], [w: tensor([n, n], seed: 1), x: tensor([40, n], seed: 2)])
    #expect(found == (0, example.isTransposed.count))
  }
}
