import Martlet
import MartletTestSupport
import Testing

/// Library calls against the reference stages of the same operations.
@Suite struct LibraryTests {
  static let windows = [
    ConvolutionWindow(height: 7, width: 9, inputs: 3, outputs: 5, kernel: 3),
    ConvolutionWindow(height: 12, width: 12, inputs: 16, outputs: 32, kernel: 3, stride: 2),
    ConvolutionWindow(height: 10, width: 8, inputs: 4, outputs: 16, kernel: 3, dilation: 2, padding: .valid),
    ConvolutionWindow(height: 6, width: 6, inputs: 32, outputs: 16, kernel: 1),
    ConvolutionWindow(height: 9, width: 9, inputs: 1, outputs: 8, kernel: 5, padding: .valid),
    ConvolutionWindow(height: 8, width: 8, inputs: 16, outputs: 16, kernel: 3, format: .nchw),
    ConvolutionWindow(height: 11, width: 7, inputs: 8, outputs: 3, kernel: 2, stride: 3),
  ]

  @Test(arguments: windows)
  func convolutionsAndTheirGradients(window: ConvolutionWindow) throws {
    let graph = Graph()
    let (k, i, o) = (window.kernel, window.inputs, window.outputs)
    let images = graph.placeholder(.float32, shape: Shape(window.shape(2, i)), name: "images")
    let filter = graph.placeholder(.float32, shape: [k, k, i, o].shape, name: "filter")
    let y = conv2D(
      images, filter, strides: PerDimension(window.stride), padding: window.padding,
      dilations: PerDimension(window.dilation), dataFormat: window.format)
    let dy = graph.constant(randomTensor(y.shape.known ?? [], seed: 3))
    let gradients = try gradients(of: [y * dy], withRespectTo: [images, filter]).compactMap { $0 }
    let calls = try checkedSteps(
      graph, [y] + gradients,
      [images: randomTensor(window.shape(2, i), seed: 1), filter: randomTensor([k, k, i, o], seed: 2)]
    ).calls
    #expect(calls == 3)
  }

  /// Constant filters are laid out for the library once.
  @Test(arguments: windows)
  func convolutionsWithConstantFilters(window: ConvolutionWindow) throws {
    let graph = Graph()
    let images = graph.placeholder(.float32, shape: Shape(window.shape(2, window.inputs)), name: "images")
    let filter = randomTensor([window.kernel, window.kernel, window.inputs, window.outputs], seed: 2)
    let y = conv2D(
      images, graph.constant(filter), strides: PerDimension(window.stride), padding: window.padding,
      dilations: PerDimension(window.dilation), dataFormat: window.format)
    let calls = try checkedSteps(graph, [y], [images: randomTensor(window.shape(2, window.inputs), seed: 1)]).calls
    #expect(calls == 1)
  }

  @Test(arguments: windows)
  func depthwiseConvolutions(window: ConvolutionWindow) throws {
    let graph = Graph()
    let (k, i) = (window.kernel, window.inputs)
    let images = graph.placeholder(.float32, shape: Shape(window.shape(2, i)), name: "images")
    let filter = graph.placeholder(.float32, shape: [k, k, i, 2].shape, name: "filter")
    let y = depthwiseConv2D(
      images, filter, strides: PerDimension(window.stride), padding: window.padding,
      dilations: PerDimension(window.dilation), dataFormat: window.format)
    let dy = graph.constant(randomTensor(y.shape.known ?? [], seed: 3))
    let gradients = try gradients(of: [y * dy], withRespectTo: [images, filter]).compactMap { $0 }
    let calls = try checkedSteps(
      graph, [y] + gradients,
      [images: randomTensor(window.shape(2, i), seed: 1), filter: randomTensor([k, k, i, 2], seed: 2)]
    ).calls
    #expect(calls == 3)
  }

  @Test(arguments: windows, [true, false])
  func poolingAndItsGradient(window: ConvolutionWindow, isMaximum: Bool) throws {
    guard window.dilation == 1 else { return }
    let graph = Graph()
    let shape = window.shape(2, window.outputs)
    let images = graph.placeholder(.float32, shape: Shape(shape), name: "images")
    let y =
      isMaximum
      ? maxPool(
        images, size: PerDimension(window.kernel), strides: PerDimension(window.stride), padding: window.padding,
        dataFormat: window.format)
      : avgPool(
        images, size: PerDimension(window.kernel), strides: PerDimension(window.stride), padding: window.padding,
        dataFormat: window.format)
    let dy = graph.constant(randomTensor(y.shape.known ?? [], seed: 3))
    let gradient = try gradients(of: [y * dy], withRespectTo: [images]).compactMap { $0 }
    // Few distinct values, so that maxima are reached more than once.
    var generator = SeededGenerator(seed: 5)
    let values = (0..<shape.reduce(1, *)).map { _ in Float(Int.random(in: 0...3, using: &generator)) }
    let calls = try checkedSteps(graph, [y] + gradient, [images: Tensor(values, shape: shape)]).calls
    #expect(calls == 2)
  }

  @Test(
    arguments: [(1, 1, 1), (5, 1, 7), (1, 6, 4), (33, 17, 70), (100, 60, 50), (1, 600, 500), (130, 96, 70), (3, 4, 0)],
    [0, 1, 2, 3])
  func matrixProducts(sizes: (m: Int, n: Int, k: Int), transposes: Int) throws {
    let (m, n, k) = sizes
    let (first, second) = (transposes & 1 != 0, transposes & 2 != 0)
    let shapes = (first ? [k, m] : [m, k], second ? [n, k] : [k, n])
    let graph = Graph()
    let a = graph.placeholder(.float32, shape: Shape(shapes.0), name: "a")
    let b = graph.placeholder(.float32, shape: Shape(shapes.1), name: "b")
    let product = matMul(a, b, transposeA: first, transposeB: second)
    let double = matMul(cast(a, to: .float64), cast(b, to: .float64), transposeA: first, transposeB: second)
    _ = try checkedSteps(
      graph, [product, double], [a: randomTensor(shapes.0, seed: 1), b: randomTensor(shapes.1, seed: 2)]
    ).calls
  }

  @Test(arguments: [[1], [3], [2, 40]], [(20, 25, 30), (64, 70, 66)])
  func batchesOfProducts(batch: [Int], sizes: (m: Int, n: Int, k: Int)) throws {
    let (m, n, k) = sizes
    let graph = Graph()
    let a = graph.placeholder(.float32, shape: Shape(batch + [m, k]), name: "a")
    let b = graph.placeholder(.float32, shape: Shape(batch + [k, n]), name: "b")
    let c = graph.placeholder(.float32, shape: Shape(batch + [n, k]), name: "c")
    let calls = try checkedSteps(
      graph, [batchMatMul(a, b), batchMatMul(a, c, adjointY: true)],
      [
        a: randomTensor(batch + [m, k], seed: 1), b: randomTensor(batch + [k, n], seed: 2),
        c: randomTensor(batch + [n, k], seed: 3),
      ]
    ).calls
    #expect(calls == 2)
  }
}

extension [Int] {
  fileprivate var shape: Shape { Shape(self) }
}
