import Martlet
import MartletGraph
import MartletTestSupport
import Testing

@testable import MartletCPU

/// Convolutions by 1×1 filters, against sums in double precision.
@Suite struct PointwiseConvolutionTests {
  struct Example: CustomTestStringConvertible, Sendable {
    /// Batch, height, width, channels.
    var shape: [Int]
    var outputs: Int
    var strides = PerDimension(1)
    var isConstant = true
    var hasResidual = false
    var activation: (@Sendable (Output) -> Output)?
    /// What the activation does.
    var expected: @Sendable (Double) -> Double = { $0 }
    var testDescription: String { "\(shape) to \(outputs), strides \(strides), \(isConstant)" }

    var resultShape: [Int] {
      [shape[0], (shape[1] - 1) / strides.height + 1, (shape[2] - 1) / strides.width + 1, outputs]
    }
  }

  /// Rows and panels that are and are not whole; rows shared and panels shared; sums of several blocks.
  static let examples = [
    Example(shape: [1, 33, 31, 32], outputs: 64),
    Example(
      shape: [2, 28, 28, 64], outputs: 100, hasResidual: true, activation: { relu($0) }, expected: { max($0, 0) }),
    Example(
      shape: [1, 7, 7, 96], outputs: 256, hasResidual: true, activation: { relu6($0) },
      expected: { min(max($0, 0), 6) }),
    Example(
      shape: [1, 9, 8, 1700], outputs: 192, hasResidual: true, activation: { relu($0) }, expected: { max($0, 0) }),
    Example(shape: [2, 29, 34, 64], outputs: 96, strides: PerDimension(2), hasResidual: true),
    Example(
      shape: [1, 14, 13, 1700], outputs: 48, strides: PerDimension(2), activation: { relu($0) },
      expected: { max($0, 0) }),
    Example(shape: [3, 20, 22, 32], outputs: 33, strides: PerDimension(height: 3, width: 1)),
    Example(shape: [2, 40, 30, 48], outputs: 33, isConstant: false),
    Example(
      shape: [1, 70, 75, 32], outputs: 64, strides: PerDimension(2), isConstant: false, activation: { relu($0) },
      expected: { max($0, 0) }),
  ]

  private func agree(_ found: Tensor, _ expected: [Double]) -> Bool {
    let found = found.scalars(as: Float.self)
    let largest = expected.reduce(0) { max($0, abs($1)) }
    return found.count == expected.count && zip(found, expected).allSatisfy { abs(Double($0) - $1) < 4e-6 * largest }
  }

  /// Expects that the plan has one call of a convolution, which is carried out by a type; the code is for vectors of 64 bytes.
  private func expectCall<Execution>(
    of type: Execution.Type, _ result: Output, _ feeds: [Output: Tensor],
    sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) throws {
    let backend = CPUBackend()
    guard backend.machine.vectorBytes == 64 else { return }
    let plan = try Session(result.graph, options: .cpu).plan(for: [result], feeds: feeds.mapValues(\.type))
    let calls = plan.contracts.filter { if case .convolution = $0 { true } else { false } }
    #expect(calls.count == 1, sourceLocation: sourceLocation)
    for call in calls { #expect(backend.execution(of: call) is Execution, sourceLocation: sourceLocation) }
  }

  @Test(arguments: examples) func forward(_ example: Example) throws {
    let (shape, resultShape) = (example.shape, example.resultShape)
    let (channels, outputs) = (shape[3], example.outputs)
    let images = randomNumbers(shape.reduce(1, *), seed: 1)
    let weights = randomNumbers(channels * outputs, seed: 2)
    let bias = randomNumbers(outputs, seed: 3)
    let added = randomNumbers(resultShape.reduce(1, *), seed: 4)
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: Shape(shape))
    let filter = Tensor(weights, shape: [1, 1, channels, outputs])
    let w = example.isConstant ? graph.constant(filter) : graph.placeholder(.float32, shape: Shape(filter.shape))
    var y = biasAdd(conv2D(x, w, strides: example.strides, padding: .same), graph.constant(Tensor(bias)))
    var feeds = [x: Tensor(images, shape: shape)]
    if !example.isConstant { feeds[w] = filter }
    if example.hasResidual {
      let residual = graph.placeholder(.float32, shape: Shape(resultShape))
      feeds[residual] = Tensor(added, shape: resultShape)
      y = y + residual
    }
    if let activation = example.activation { y = activation(y) }

    var expected: [Double] = []
    for n in 0..<shape[0] {
      for row in stride(from: 0, to: shape[1], by: example.strides.height) {
        for column in stride(from: 0, to: shape[2], by: example.strides.width) {
          let pixel = ((n * shape[1] + row) * shape[2] + column) * channels
          for k in 0..<outputs {
            var sum = Double(bias[k]) + (example.hasResidual ? Double(added[expected.count]) : 0)
            for c in 0..<channels { sum += Double(images[pixel + c]) * Double(weights[c * outputs + k]) }
            expected.append(example.expected(sum))
          }
        }
      }
    }
    try expectCall(of: PointwiseConvolution.self, y, feeds)
    let found = try Session(graph, options: .cpu).run(y, feeds: feeds)
    #expect(agree(found, expected))
    let single = try Session(graph, options: SessionOptions(device: .cpu, threads: 1)).run(y, feeds: feeds)
    #expect(single.scalars(as: Float.self) == found.scalars(as: Float.self))
    let exact = try Session(graph, options: SessionOptions(device: .cpu, isExact: true)).run(y, feeds: feeds)
    #expect(agree(exact, expected))
  }

  /// The gradient of the image is a product with the filter transposed.
  @Test(arguments: [[2, 32, 32, 48], [1, 41, 30, 33]], [64, 25])
  func gradient(shape: [Int], outputs: Int) throws {
    let channels = shape[3]
    let upShape = [shape[0], shape[1], shape[2], outputs]
    let weights = randomNumbers(channels * outputs, seed: 2)
    let up = randomNumbers(upShape.reduce(1, *), seed: 5)
    let graph = Graph()
    let filter = Tensor(weights, shape: [1, 1, channels, outputs])
    let w = graph.placeholder(.float32, shape: Shape(filter.shape))
    let dy = graph.placeholder(.float32, shape: Shape(upShape))
    let sizes = graph.constant(Tensor(shape.map { Int32($0) }))
    let dx = conv2DTranspose(dy, w, outputShape: sizes, padding: .same)
    var expected: [Double] = []
    for pixel in 0..<shape[0] * shape[1] * shape[2] {
      for c in 0..<channels {
        var sum = 0.0
        for k in 0..<outputs { sum += Double(up[pixel * outputs + k]) * Double(weights[c * outputs + k]) }
        expected.append(sum)
      }
    }
    let feeds = [w: filter, dy: Tensor(up, shape: upShape)]
    try expectCall(of: PointwiseConvolution.self, dx, feeds)
    let found = try Session(graph, options: .cpu).run(dx, feeds: feeds)
    #expect(agree(found, expected))
    let single = try Session(graph, options: SessionOptions(device: .cpu, threads: 1)).run(dx, feeds: feeds)
    #expect(single.scalars(as: Float.self) == found.scalars(as: Float.self))
  }

  /// The gradient of the filter sums over all pixels: in parts and as one, in several blocks, with strides.
  @Test(arguments: [
    Example(shape: [2, 32, 32, 48], outputs: 64, isConstant: false),
    Example(shape: [1, 40, 41, 256], outputs: 200, isConstant: false),
    Example(shape: [3, 51, 50, 50], outputs: 33, strides: PerDimension(2), isConstant: false),
    Example(shape: [1, 90, 64, 16], outputs: 20, strides: PerDimension(height: 1, width: 2), isConstant: false),
    Example(shape: [1, 66, 70, 200], outputs: 150, strides: PerDimension(2), isConstant: false),
  ])
  func filterGradient(_ example: Example) throws {
    let (shape, upShape, outputs) = (example.shape, example.resultShape, example.outputs)
    let channels = shape[3]
    let images = randomNumbers(shape.reduce(1, *), seed: 1)
    let up = randomNumbers(upShape.reduce(1, *), seed: 5)
    var expected = [Double](repeating: 0, count: channels * outputs)
    let wide = up.map(Double.init)
    for n in 0..<shape[0] {
      for y in 0..<upShape[1] {
        for x in 0..<upShape[2] {
          let place = ((n * upShape[1] + y) * upShape[2] + x) * outputs
          let row = n * shape[1] + y * example.strides.height
          let pixel = (row * shape[2] + x * example.strides.width) * channels
          for c in 0..<channels {
            let value = Double(images[pixel + c])
            for k in 0..<outputs { expected[c * outputs + k] += value * wide[place + k] }
          }
        }
      }
    }
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: Shape(shape))
    let dy = graph.placeholder(.float32, shape: Shape(upShape))
    let w = graph.placeholder(.float32, shape: Shape([1, 1, channels, outputs]))
    let y = conv2D(x, w, strides: example.strides, padding: .same)
    let dw = try #require(try gradients(of: [y], withRespectTo: [w], upstream: [dy])[0])
    let feeds = [
      x: Tensor(images, shape: shape), dy: Tensor(up, shape: upShape),
      w: Tensor([Float](repeating: 0, count: channels * outputs), shape: [1, 1, channels, outputs]),
    ]
    try expectCall(of: PointwiseFilterGradient.self, dw, feeds)
    let found = try Session(graph, options: .cpu).run(dw, feeds: feeds)
    #expect(agree(found, expected))
    let single = try Session(graph, options: SessionOptions(device: .cpu, threads: 1)).run(dw, feeds: feeds)
    #expect(single.scalars(as: Float.self) == found.scalars(as: Float.self))
  }

  /// An exact session's convolution hands NaN on through its activation, in its sums as in what is added to them.
  @Test func exactActivationsKeepNaN() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [1, 16, 16, 32])
    let r = graph.placeholder(.float32, shape: [1, 16, 16, 64])
    let w = graph.constant(Tensor(randomNumbers(32 * 64, seed: 1), shape: [1, 1, 32, 64]))
    let y = relu(conv2D(x, w, padding: .same) + r)
    var (images, residual) = (randomNumbers(256 * 32, seed: 2), randomNumbers(256 * 64, seed: 3))
    images[5 * 32 + 7] = .nan
    residual[9 * 64 + 11] = .nan
    let feeds = [x: Tensor(images, shape: [1, 16, 16, 32]), r: Tensor(residual, shape: [1, 16, 16, 64])]
    let found = try Session(graph, options: SessionOptions(device: .cpu, isExact: true)).run(y, feeds: feeds)
    let places = found.scalars(as: Float.self).indices.filter { found.scalars(as: Float.self)[$0].isNaN }
    #expect(places == Array(5 * 64..<6 * 64) + [9 * 64 + 11])
  }
}
