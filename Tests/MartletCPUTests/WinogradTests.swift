import MartletCPU
import Martlet
import MartletTestSupport
import Testing

/// Convolutions in Winograd's way, against sums in double precision.
@Suite struct WinogradTests {
  struct Example: CustomTestStringConvertible, Sendable {
    /// Batch, height, width, channels.
    var shape: [Int]
    var outputs: Int
    /// The rows and columns of the filter.
    var window = 3
    var padding: Padding
    var isConstant = true
    var activation: (@Sendable (Output) -> Output)?
    /// What the activation does.
    var expected: @Sendable (Double) -> Double = { $0 }
    var hasResidual = false
    var testDescription: String { "\(shape) to \(outputs), \(window)², \(padding), \(isConstant)" }
  }

  static let examples = [
    // The team shares one block; deals blocks; with a last block in part; with rows and columns of tiles in part.
    Example(shape: [1, 16, 16, 32], outputs: 64, padding: .same),
    Example(shape: [2, 24, 24, 32], outputs: 32, padding: .same),
    Example(shape: [3, 17, 19, 32], outputs: 48, padding: .same),
    Example(shape: [2, 11, 14, 48], outputs: 80, padding: .valid),
    Example(shape: [2, 14, 11, 32], outputs: 32, padding: .explicit(top: 0, bottom: 3, left: 2, right: 1)),
    Example(shape: [1, 19, 19, 32], outputs: 64, padding: .same, isConstant: false),
    Example(
      shape: [1, 18, 15, 64], outputs: 32, padding: .same, activation: { relu($0) }, expected: { max($0, 0) },
      hasResidual: true),
    Example(
      shape: [2, 21, 18, 32], outputs: 32, padding: .same, activation: { relu6($0) }, expected: { min(max($0, 0), 6) }),
    Example(
      shape: [2, 20, 13, 32], outputs: 32, padding: .same, activation: { leakyRelu($0, alpha: 0.25) },
      expected: { $0 < 0 ? 0.25 * $0 : $0 }, hasResidual: true),
    // Tiles of 2×2 and of 3×3 results.
    Example(shape: [2, 15, 14, 32], outputs: 64, window: 5, padding: .same, isConstant: false),
    Example(
      shape: [1, 13, 12, 32], outputs: 32, window: 5, padding: .valid, activation: { relu($0) },
      expected: { max($0, 0) }),
    Example(
      shape: [2, 11, 12, 32], outputs: 48, window: 5, padding: .explicit(top: 3, bottom: 1, left: 0, right: 4),
      hasResidual: true),
    Example(shape: [2, 16, 13, 32], outputs: 32, window: 4, padding: .same),
  ]

  /// The convolution with stride 1 and filters [window, window, channels, outputs], `before` rows and columns of zeros around.
  private func direct(
    _ images: [Float], _ shape: [Int], _ filter: [Float], _ outputs: Int, window: Int = 3, before: (Int, Int),
    size: (Int, Int)
  ) -> [Double] {
    let (height, width, channels) = (shape[1], shape[2], shape[3])
    let wide = filter.map(Double.init)
    var result = [Double](repeating: 0, count: shape[0] * size.0 * size.1 * outputs)
    for n in 0..<shape[0] {
      for y in 0..<size.0 {
        for x in 0..<size.1 {
          let place = ((n * size.0 + y) * size.1 + x) * outputs
          for i in 0..<window where (0..<height).contains(y + i - before.0) {
            for j in 0..<window where (0..<width).contains(x + j - before.1) {
              let pixel = ((n * height + y + i - before.0) * width + x + j - before.1) * channels
              for c in 0..<channels {
                let value = Double(images[pixel + c])
                let row = ((i * window + j) * channels + c) * outputs
                for k in 0..<outputs { result[place + k] += value * wide[row + k] }
              }
            }
          }
        }
      }
    }
    return result
  }

  /// The extents of the result and the zeros before the image.
  private func geometry(_ example: Example) -> (size: (Int, Int), before: (Int, Int)) {
    let (height, width, last) = (example.shape[1], example.shape[2], example.window - 1)
    switch example.padding {
    case .same: return ((height, width), (last / 2, last / 2))
    case .valid: return ((height - last, width - last), (0, 0))
    case .explicit(let top, let bottom, let left, let right):
      return ((height + top + bottom - last, width + left + right - last), (top, left))
    }
  }

  /// The largest difference over `largest`.
  private func error(_ found: [Float], _ expected: [Double], over largest: Double) -> Double {
    guard found.count == expected.count, found.allSatisfy(\.isFinite) else { return .infinity }
    return zip(found, expected).reduce(0) { max($0, abs(Double($1.0) - $1.1)) } / largest
  }

  private func largest(_ values: [Double]) -> Double { values.reduce(0) { max($0, abs($1)) } }

  @Test(arguments: examples) func forward(_ example: Example) throws {
    let graph = Graph()
    let shape = example.shape
    let images = randomNumbers(shape.reduce(1, *), seed: 1)
    let window = example.window
    let weights = randomNumbers(window * window * shape[3] * example.outputs, seed: 2)
    let bias = randomNumbers(example.outputs, seed: 3)
    let x = graph.placeholder(.float32, shape: Shape(shape), name: "x")
    let filter = Tensor(weights, shape: [window, window, shape[3], example.outputs])
    let w = example.isConstant ? graph.constant(filter) : graph.placeholder(.float32, shape: Shape(filter.shape))
    var y = biasAdd(conv2D(x, w, padding: example.padding), graph.constant(Tensor(bias)))
    var feeds = [x: Tensor(images, shape: shape)]
    if !example.isConstant { feeds[w] = filter }

    let (size, before) = geometry(example)
    let resultShape = [shape[0], size.0, size.1, example.outputs]
    var expected = direct(
      images, shape, weights, example.outputs, window: window, before: before, size: size)
    let added = randomNumbers(expected.count, seed: 4)
    for i in expected.indices { expected[i] += Double(bias[i % example.outputs]) }
    if example.hasResidual {
      let residual = graph.placeholder(.float32, shape: Shape(resultShape))
      feeds[residual] = Tensor(added, shape: resultShape)
      y = y + residual
      for i in expected.indices { expected[i] += Double(added[i]) }
    }
    if let activation = example.activation { y = activation(y) }
    let largest = largest(expected)
    expected = expected.map(example.expected)

    let found = try Session(graph, options: .cpu).run(y, feeds: feeds).scalars(as: Float.self)
    #expect(error(found, expected, over: largest) < 4e-6)
    let single = try Session(graph, options: SessionOptions(device: .cpu, threads: 1)).run(y, feeds: feeds)
    #expect(single.scalars(as: Float.self) == found)
  }

  /// The direct sum's error is about half of this; that of tiles of 4×4 with the points 1 and 2 twice as much.
  @Test(arguments: [3, 4, 5]) func accuracy(window: Int) throws {
    let shape = [1, 12, 12, 256]
    let graph = Graph()
    let images = randomNumbers(shape.reduce(1, *), seed: 1)
    let weights = randomNumbers(window * window * 256 * 32, seed: 2)
    let x = graph.placeholder(.float32, shape: Shape(shape))
    let y = conv2D(x, graph.constant(Tensor(weights, shape: [window, window, 256, 32])), padding: .same)
    let before = (window - 1) / 2
    let expected = direct(
      images, shape, weights, 32, window: window, before: (before, before), size: (12, 12))
    let feeds = [x: Tensor(images, shape: shape)]
    let fast = try Session(graph, options: .cpu).run(y, feeds: feeds).scalars(as: Float.self)
    let exact = try Session(graph, options: SessionOptions(device: .cpu, isExact: true)).run(y, feeds: feeds)
    func deviation(_ found: [Float]) -> Double {
      let squares = zip(found, expected).reduce((0.0, 0.0)) { sums, pair in
        (sums.0 + (Double(pair.0) - pair.1) * (Double(pair.0) - pair.1), sums.1 + pair.1 * pair.1)
      }
      return (squares.0 / squares.1).squareRoot()
    }
    let (winograd, direct) = (deviation(fast), deviation(exact.scalars(as: Float.self)))
    #expect(winograd < 4 * direct)
    if CPUBackend().machine.vectorBytes >= 32 { #expect(winograd != direct) }
  }

  /// The gradient of the image is a convolution with the filter turned around.
  @Test(arguments: [
    Example(shape: [2, 20, 17, 32], outputs: 32, padding: .same),
    Example(shape: [2, 14, 11, 48], outputs: 32, padding: .valid),
    Example(shape: [1, 16, 15, 32], outputs: 32, padding: .explicit(top: 2, bottom: 0, left: 1, right: 2)),
    Example(shape: [2, 14, 13, 32], outputs: 64, window: 5, padding: .same),
    Example(shape: [1, 16, 15, 32], outputs: 32, window: 5, padding: .explicit(top: 4, bottom: 0, left: 1, right: 2)),
    Example(shape: [2, 14, 11, 32], outputs: 32, window: 4, padding: .same),
  ])
  func gradient(_ example: Example) throws {
    let graph = Graph()
    let (shape, outputs, window) = (example.shape, example.outputs, example.window)
    let (size, before) = geometry(example)
    let upShape = [shape[0], size.0, size.1, outputs]
    let weights = randomNumbers(window * window * shape[3] * outputs, seed: 2)
    let up = randomNumbers(upShape.reduce(1, *), seed: 5)
    var turned = [Float](repeating: 0, count: weights.count)
    for place in 0..<window * window {
      for c in 0..<shape[3] {
        for k in 0..<outputs {
          turned[((window * window - 1 - place) * outputs + k) * shape[3] + c] =
            weights[(place * shape[3] + c) * outputs + k]
        }
      }
    }
    let expected = direct(
      up, upShape, turned, shape[3], window: window, before: (window - 1 - before.0, window - 1 - before.1),
      size: (shape[1], shape[2]))
    let filter = Tensor(weights, shape: [window, window, shape[3], outputs])
    let w = graph.placeholder(.float32, shape: Shape(filter.shape))
    let dy = graph.placeholder(.float32, shape: Shape(upShape))
    let sizes = graph.constant(Tensor(shape.map { Int32($0) }))
    let dx = conv2DTranspose(dy, w, outputShape: sizes, padding: example.padding)
    let found = try Session(graph).run(dx, feeds: [w: filter, dy: Tensor(up, shape: upShape)])
    #expect(error(found.scalars(as: Float.self), expected, over: largest(expected)) < 4e-6)
  }

  /// The gradient of the filter sums over all pixels, in several blocks where there are many.
  @Test(arguments: [
    Example(shape: [2, 20, 17, 32], outputs: 32, padding: .same),
    Example(shape: [1, 14, 11, 48], outputs: 32, padding: .valid),
    Example(shape: [6, 25, 28, 32], outputs: 32, padding: .explicit(top: 2, bottom: 0, left: 1, right: 2)),
    Example(shape: [1, 14, 11, 48], outputs: 96, window: 5, padding: .valid),
    Example(shape: [5, 15, 14, 32], outputs: 64, window: 5, padding: .same),
    Example(shape: [2, 20, 17, 32], outputs: 32, window: 4, padding: .same),
  ])
  func filterGradient(_ example: Example) throws {
    let graph = Graph()
    let (shape, outputs, window) = (example.shape, example.outputs, example.window)
    let channels = shape[3]
    let (size, before) = geometry(example)
    let upShape = [shape[0], size.0, size.1, outputs]
    let images = randomNumbers(shape.reduce(1, *), seed: 1)
    let up = randomNumbers(upShape.reduce(1, *), seed: 5)
    var expected = [Double](repeating: 0, count: window * window * channels * outputs)
    let wide = up.map(Double.init)
    for n in 0..<shape[0] {
      for y in 0..<size.0 {
        for x in 0..<size.1 {
          let place = ((n * size.0 + y) * size.1 + x) * outputs
          for i in 0..<window where (0..<shape[1]).contains(y + i - before.0) {
            for j in 0..<window where (0..<shape[2]).contains(x + j - before.1) {
              let pixel = ((n * shape[1] + y + i - before.0) * shape[2] + x + j - before.1) * channels
              for c in 0..<channels {
                let value = Double(images[pixel + c])
                let row = ((i * window + j) * channels + c) * outputs
                for k in 0..<outputs { expected[row + k] += value * wide[place + k] }
              }
            }
          }
        }
      }
    }
    let x = graph.placeholder(.float32, shape: Shape(shape))
    let dy = graph.placeholder(.float32, shape: Shape(upShape))
    let w = graph.placeholder(.float32, shape: Shape([window, window, channels, outputs]))
    let y = conv2D(x, w, padding: example.padding)
    let dw = try #require(try gradients(of: [y], withRespectTo: [w], upstream: [dy])[0])
    let feeds = [
      x: Tensor(images, shape: shape), dy: Tensor(up, shape: upShape),
      w: Tensor(
        [Float](repeating: 0, count: window * window * channels * outputs), shape: [window, window, channels, outputs]),
    ]
    let found = try Session(graph, options: .cpu).run(dw, feeds: feeds).scalars(as: Float.self)
    #expect(error(found, expected, over: largest(expected)) < 4e-6)
    let single = try Session(graph, options: SessionOptions(device: .cpu, threads: 1)).run(dw, feeds: feeds)
    #expect(single.scalars(as: Float.self) == found)
  }
}
