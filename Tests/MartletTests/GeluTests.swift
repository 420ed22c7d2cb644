import Martlet
import MartletTestSupport
import Testing

/// The Gaussian error linear unit as an operation of its own; `MathematicsGoldenTests` compares it with TensorFlow's.
struct GeluTests {
  private static let points: [Double] = [0, 0.5, -0.5, 1, -1.25, 3, -3, 6, -6]

  /// In a GraphDef it is written in operations that TensorFlow has, and so are its gradients; the result keeps its name.
  @Test(arguments: [false, true], [ElementType.float32, .float64])
  func writtenOut(approximate: Bool, type: ElementType) throws {
    let graph = Graph()
    let x = graph.placeholder(type, shape: [nil], name: "x")
    let y = gelu(x, approximate: approximate, name: "y")
    let first = try #require(try gradients(of: [y], withRespectTo: [x])[0])
    let second = try #require(try gradients(of: [first], withRespectTo: [x])[0])
    let fetches = [y, identity(first, name: "first"), identity(second, name: "second")]
    let record = try graph.graphDef(outputs: fetches + [x])
    #expect(!record.nodes.contains { $0.op.hasPrefix("_") })
    let again = try Graph(record)
    let tensor = Tensor(rounding: Self.points, shape: [9], as: type)
    let found = try Session(graph).run(fetches, feeds: [x: tensor])
    let expected = try Session(again).run(
      try fetches.map { try #require(again.output(named: $0.name)) },
      feeds: [try #require(again.output(named: "x")): tensor])
    for (found, expected) in zip(found, expected) {
      expectClose(found, expected, relative: 1e-5, absolute: 1e-6)
    }
  }

  /// Behind a product the processor does it in the call.
  @Test(arguments: [false, true]) func behindAProduct(approximate: Bool) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [32, 64], name: "x")
    let w = graph.placeholder(.float32, shape: [64, 48], name: "w")
    let y = gelu(matMul(x, w), approximate: approximate)
    let feeds = [x: randomTensor([32, 64], seed: 1), w: randomTensor([64, 48], seed: 2)]
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run([y], feeds: feeds)
    let found = try Session(graph, options: SessionOptions(device: .cpu)).run([y], feeds: feeds)
    expectClose(found[0], expected[0], relative: 1e-5, absolute: 1e-5)
  }
}
