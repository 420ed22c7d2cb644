import Martlet
import MartletTestSupport
import Testing

/// What the library for convolutions must not be asked for, since it uses memory that is not its own.
@Suite struct LibraryLimitTests {
  /// Some rows of the result have no input below the filter; a residual is added there, and the activation reads a table.
  @Test(arguments: [true, false]) func residualsWhereThereIsNoInput(isELU: Bool) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2, 13, 16, 48], name: "x")
    let w = graph.constant(Tensor(randomNumbers(3 * 3 * 48 * 32, seed: 1), shape: [3, 3, 48, 32]))
    let y = conv2D(x, w, padding: .explicit(top: 2, bottom: 3, left: 1, right: 1))
    let r = graph.placeholder(.float32, shape: y.shape, name: "r")
    let result = isELU ? elu(y + r) : tanh(y + r)
    let feeds = [
      x: Tensor(randomNumbers(2 * 13 * 16 * 48, seed: 2), shape: [2, 13, 16, 48]),
      r: Tensor(randomNumbers(2 * 16 * 16 * 32, seed: 3), shape: [2, 16, 16, 32]),
    ]
    // Sums of 432 products of numbers below 1, each rounded.
    try agreesWithTheInterpreter(graph, result, feeds, absolute: 432 * 0x1p-24)
  }

  /// The gradient of a 1×1 filter with strides and few channels.
  @Test(arguments: [(8, 8), (3, 64), (31, 3)]) func gradientsOfStridedPoints(inputs: Int, outputs: Int) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2, 60, 60, inputs], name: "x")
    let w = graph.placeholder(.float32, shape: [1, 1, inputs, outputs], name: "w")
    let y = conv2D(x, w, strides: PerDimension(2), padding: .same)
    let gradient = try #require(gradients(of: [sum(square(y), axes: [0, 1, 2, 3])], withRespectTo: [w])[0])
    let feeds = [
      x: Tensor(randomNumbers(2 * 60 * 60 * inputs, seed: 4), shape: [2, 60, 60, inputs]),
      w: Tensor(randomNumbers(inputs * outputs, seed: 5), shape: [1, 1, inputs, outputs]),
    ]
    // Sums over 1,800 pixels, of which each term has a sum over the inputs in it.
    try agreesWithTheInterpreter(graph, gradient, feeds, absolute: 1800 * Double(inputs) * 0x1p-24)
  }

  private func agreesWithTheInterpreter(
    _ graph: Graph, _ value: Output, _ feeds: [Output: Tensor], absolute: Double
  ) throws {
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run(value, feeds: feeds)
    for threads in [1, 2] {
      let found = try Session(graph, options: SessionOptions(device: .cpu, threads: threads)).run(value, feeds: feeds)
      expectClose(found, expected, relative: 1e-5, absolute: absolute)
    }
  }
}
