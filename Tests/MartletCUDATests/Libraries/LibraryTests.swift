import Martlet
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// What cuBLASLt and cuDNN are asked to do gives what the operations say; the stand-in checks how they are asked.
struct LibraryTests {
  /// With padding that is the same on both sides and that is not, with windows that do and do not reach the end.
  static let windows = [
    ConvolutionWindow(height: 7, width: 9, inputs: 3, outputs: 5, kernel: 3),
    ConvolutionWindow(height: 12, width: 12, inputs: 4, outputs: 6, kernel: 3, stride: 2),
    ConvolutionWindow(height: 10, width: 8, inputs: 4, outputs: 7, kernel: 3, dilation: 2, padding: .valid),
    ConvolutionWindow(height: 6, width: 6, inputs: 8, outputs: 4, kernel: 1),
    ConvolutionWindow(height: 9, width: 9, inputs: 1, outputs: 8, kernel: 5, padding: .valid),
    ConvolutionWindow(height: 8, width: 8, inputs: 5, outputs: 4, kernel: 3, format: .nchw),
    ConvolutionWindow(height: 8, width: 6, inputs: 3, outputs: 1, kernel: 4, stride: 2, format: .nchw),
    ConvolutionWindow(height: 11, width: 7, inputs: 8, outputs: 3, kernel: 2, stride: 3),
    ConvolutionWindow(height: 7, width: 8, inputs: 2, outputs: 3, kernel: 2, padding: .same),
    // With so many channels the stand-in is faster with channels first.
    ConvolutionWindow(height: 6, width: 5, inputs: 16, outputs: 18, kernel: 3, stride: 2),
  ]

  /// Compares with the interpreter, and expects that many library calls.
  private func expectSame(
    _ graph: Graph, _ fetches: [Output], _ feeds: [Output: Tensor], calls: Int, seed: UInt64 = 0,
    options: CUDALibraryOptions = CUDALibraryOptions(), sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) throws {
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run(fetches, feeds: feeds)
    let stub: CUDAStub
    do {
      let machine = try LibraryMachine(seed: seed, options: options)
      stub = machine.stub
      let found = try machine.run(graph, fetches, feeds)
      for (found, expected) in zip(found.results, expected) {
        expectClose(found, expected, relative: 1e-5, absolute: 1e-5, sourceLocation: sourceLocation)
      }
      #expect(found.calls == calls, sourceLocation: sourceLocation)
    }
    #expect(stub.report == [], sourceLocation: sourceLocation)
    #expect(stub.leaks == [], sourceLocation: sourceLocation)
  }

  @Test(arguments: windows, [false, true])
  func convolutionsAndTheirGradients(window: ConvolutionWindow, isDepthwise: Bool) throws {
    let graph = Graph()
    let (k, i) = (window.kernel, window.inputs)
    let images = graph.placeholder(.float32, shape: Shape(window.shape(2, i)), name: "images")
    let filterShape = [k, k, i, isDepthwise ? 2 : window.outputs]
    let filter = graph.placeholder(.float32, shape: Shape(filterShape), name: "filter")
    let strides = PerDimension(window.stride)
    let dilations = PerDimension(window.dilation)
    let y =
      isDepthwise
      ? depthwiseConv2D(
        images, filter, strides: strides, padding: window.padding, dilations: dilations, dataFormat: window.format)
      : conv2D(
        images, filter, strides: strides, padding: window.padding, dilations: dilations, dataFormat: window.format)
    let dy = graph.constant(randomTensor(y.shape.known ?? [], seed: 3))
    let gradients = try gradients(of: [y * dy], withRespectTo: [images, filter]).compactMap { $0 }
    try expectSame(
      graph, [y] + gradients,
      [images: randomTensor(window.shape(2, i), seed: 1), filter: randomTensor(filterShape, seed: 2)],
      calls: 3, seed: UInt64(window.height))
  }

  /// Constant filters are laid out once.
  @Test(arguments: windows)
  func convolutionsWithConstantFilters(window: ConvolutionWindow) throws {
    let graph = Graph()
    let images = graph.placeholder(.float32, shape: Shape(window.shape(1, window.inputs)), name: "images")
    let filter = randomTensor([window.kernel, window.kernel, window.inputs, window.outputs], seed: 2)
    let y = conv2D(
      images, graph.constant(filter), strides: PerDimension(window.stride), padding: window.padding,
      dilations: PerDimension(window.dilation), dataFormat: window.format)
    try expectSame(graph, [y], [images: randomTensor(window.shape(1, window.inputs), seed: 1)], calls: 1)
  }

  @Test(arguments: windows, [true, false])
  func poolingAndItsGradient(window: ConvolutionWindow, isMaximum: Bool) throws {
    guard window.dilation == 1 else { return }
    let graph = Graph()
    let shape = window.shape(2, window.outputs)
    let images = graph.placeholder(.float32, shape: Shape(shape), name: "images")
    let (size, strides) = (PerDimension(window.kernel), PerDimension(window.stride))
    let y =
      isMaximum
      ? maxPool(images, size: size, strides: strides, padding: window.padding, dataFormat: window.format)
      : avgPool(images, size: size, strides: strides, padding: window.padding, dataFormat: window.format)
    let dy = graph.constant(randomTensor(y.shape.known ?? [], seed: 3))
    let gradient = try gradients(of: [y * dy], withRespectTo: [images]).compactMap { $0 }
    // Few distinct values, so that maxima are reached more than once.
    var generator = SeededGenerator(seed: 5)
    let values = (0..<shape.reduce(1, *)).map { _ in Float(Int.random(in: 0...3, using: &generator)) }
    try expectSame(graph, [y] + gradient, [images: Tensor(values, shape: shape)], calls: isMaximum ? 1 : 2)
  }

  /// The gradient of maxima that differ goes where it should; of equal ones any may get it.
  @Test(arguments: windows, [true, false])
  func gradientOfAnyMaximum(window: ConvolutionWindow, isDistinct: Bool) throws {
    guard window.dilation == 1 else { return }
    let graph = Graph()
    let shape = window.shape(2, window.outputs)
    let images = graph.placeholder(.float32, shape: Shape(shape), name: "images")
    let y = maxPool(
      images, size: PerDimension(window.kernel), strides: PerDimension(window.stride), padding: window.padding,
      dataFormat: window.format)
    let gradient = try gradients(of: [y * 3], withRespectTo: [images]).compactMap { $0 }
    var generator = SeededGenerator(seed: 5)
    let count = shape.reduce(1, *)
    let values =
      isDistinct ? (0..<count).map(Float.init).shuffled(using: &generator) : Array(repeating: 1, count: count)
    try expectSame(
      graph, [y] + (isDistinct ? gradient : gradient.map { sum($0) }), [images: Tensor(values, shape: shape)], calls: 2,
      options: CUDALibraryOptions(allowsAnyMaximum: true))
  }

  /// Factors lose bits where that is allowed, and only there.
  @Test(arguments: [true, false]) func productsInBFloat16(isAllowed: Bool) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [20, 30], name: "x")
    let y = matMul(x, graph.constant(randomTensor([30, 10], seed: 2)))
    let feeds = [x: randomTensor([20, 30], seed: 1)]
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run([y], feeds: feeds)[0]
    let machine = try LibraryMachine(options: CUDALibraryOptions(allowsBFloat16: isAllowed))
    let found = try machine.run(graph, [y], feeds).results[0]
    let error = zip(expected.scalars(as: Float.self), found.scalars(as: Float.self)).map { abs($0 - $1) }.max() ?? 0
    #expect(isAllowed ? 1e-4 < error && error < 0.1 : error < 1e-5)
    #expect(machine.stub.report == [])
  }

  @Test(
    arguments: [(1, 1, 1), (5, 1, 7), (1, 6, 4), (33, 17, 70), (10, 60, 50), (1, 60, 50), (30, 96, 70)], [0, 1, 2, 3])
  func matrixProducts(sizes: (m: Int, n: Int, k: Int), transposes: Int) throws {
    let (m, n, k) = sizes
    let (first, second) = (transposes & 1 != 0, transposes & 2 != 0)
    let shapes = (first ? [k, m] : [m, k], second ? [n, k] : [k, n])
    let graph = Graph()
    let a = graph.placeholder(.float32, shape: Shape(shapes.0), name: "a")
    let b = graph.placeholder(.float32, shape: Shape(shapes.1), name: "b")
    let product = matMul(a, b, transposeA: first, transposeB: second)
    let double = matMul(cast(a, to: .float64), cast(b, to: .float64), transposeA: first, transposeB: second)
    try expectSame(
      graph, [product, double], [a: randomTensor(shapes.0, seed: 1), b: randomTensor(shapes.1, seed: 2)], calls: 2)
  }

  /// In 16 bits, multiplied and added in float32 and rounded once.
  @Test(arguments: [ElementType.float16, .bfloat16], [[1], [3]])
  func productsOfHalves(type: ElementType, batch: [Int]) throws {
    let graph = Graph()
    let a = graph.placeholder(.float32, shape: Shape(batch + [20, 30]), name: "a")
    let b = graph.placeholder(.float32, shape: Shape(batch + [30, 10]), name: "b")
    let y = batchMatMul(cast(a, to: type), cast(b, to: type))
    let feeds = [a: randomTensor(batch + [20, 30], seed: 1), b: randomTensor(batch + [30, 10], seed: 2)]
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run([y], feeds: feeds)[0]
    let machine = try LibraryMachine()
    let found = try machine.run(graph, [y], feeds)
    #expect(found.calls == 1 && found.results[0].elementType == type)
    // A unit in the last place, where sums are rounded the other way.
    expectClose(found.results[0], expected, relative: type == .float16 ? 0x1p-10 : 0x1p-7, absolute: 1e-5)
    #expect(machine.stub.report == [])
  }

  @Test(arguments: [[1], [3], [2, 4]], [(20, 25, 30), (6, 7, 66)])
  func batchesOfProducts(batch: [Int], sizes: (m: Int, n: Int, k: Int)) throws {
    let (m, n, k) = sizes
    let graph = Graph()
    let a = graph.placeholder(.float32, shape: Shape(batch + [m, k]), name: "a")
    let b = graph.placeholder(.float32, shape: Shape(batch + [k, n]), name: "b")
    let c = graph.placeholder(.float32, shape: Shape(batch + [n, k]), name: "c")
    try expectSame(
      graph, [batchMatMul(a, b), batchMatMul(a, c, adjointY: true)],
      [
        a: randomTensor(batch + [m, k], seed: 1), b: randomTensor(batch + [k, n], seed: 2),
        c: randomTensor(batch + [n, k], seed: 3),
      ], calls: 2)
  }

  // MARK: Epilogues

  enum Tail: CaseIterable {
    case bias, relu, residual, all, gelu, geluByTanh, leaky

    func callAsFunction(_ y: Output, _ bias: Output, _ residual: Output, _ format: DataFormat = .nhwc) -> Output {
      let biased = biasAdd(y, bias, dataFormat: format)
      return switch self {
      case .bias: biased
      case .relu: Martlet.relu(biased)
      case .residual: biased + residual
      case .all: Martlet.relu(biased + residual)
      case .gelu: 0.5 * biased * (1 + erf(biased * (1 / 2.0.squareRoot())))
      case .geluByTanh: 0.5 * biased * (1 + tanh(0.7978845608 * (biased + 0.044715 * biased * biased * biased)))
      case .leaky: leakyRelu(biased, alpha: 0.3)
      }
    }
  }

  @Test(arguments: Tail.allCases)
  func productsWithEpilogues(tail: Tail) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [9, 12], name: "x")
    let residual = graph.placeholder(.float32, shape: [9, 10], name: "residual")
    let y = matMul(x, graph.constant(randomTensor([12, 10], seed: 2)))
    let result = tail(y, graph.constant(randomTensor([10], seed: 3)), residual)
    let feeds = [x: randomTensor([9, 12], seed: 1), residual: randomTensor([9, 10], seed: 4)]
    try expectSame(
      graph, [result], tail == .residual || tail == .all ? feeds : feeds.filter { $0.key == x }, calls: 1)
  }

  /// Steps of gradient descent: the product of the gradient goes into the weights at once.
  @Test(arguments: [0.1, -2, 1])
  func scaledProductsWithResiduals(rate: Double) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [9, 12], name: "x")
    let dy = graph.placeholder(.float32, shape: [9, 10], name: "dy")
    let w = graph.placeholder(.float32, shape: [12, 10], name: "w")
    let (a, b) = (matMul(x, dy, transposeA: true), matMul(x, dy * 3, transposeA: true))
    let fetches = [w - rate * a, b * rate + w]
    let feeds = [
      x: randomTensor([9, 12], seed: 1), dy: randomTensor([9, 10], seed: 2), w: randomTensor([12, 10], seed: 3),
    ]
    try expectSame(graph, fetches, feeds, calls: 2)
    // All that is left is the kernel that scales dy.
    let machine = try LibraryMachine()
    #expect(try machine.run(graph, fetches, feeds).kernels == 1)
    // An exact session rounds the product before it scales it.
    let exact = try LibraryMachine(options: CUDALibraryOptions(isExact: true))
    #expect(try exact.run(graph, fetches, feeds).kernels > 1 || rate == 1)
  }

  @Test(arguments: Tail.allCases, [DataFormat.nhwc, .nchw])
  func convolutionsWithEpilogues(tail: Tail, format: DataFormat) throws {
    let graph = Graph()
    let (shape, result) = format == .nhwc ? ([2, 7, 6, 4], [2, 7, 6, 5]) : ([2, 4, 7, 6], [2, 5, 7, 6])
    let x = graph.placeholder(.float32, shape: Shape(shape), name: "x")
    let residual = graph.placeholder(.float32, shape: Shape(result), name: "residual")
    let y = conv2D(x, graph.constant(randomTensor([3, 3, 4, 5], seed: 2)), padding: .same, dataFormat: format)
    let z = tail(y, graph.constant(randomTensor([5], seed: 3)), residual, format)
    let feeds = [x: randomTensor(shape, seed: 1), residual: randomTensor(result, seed: 4)]
    try expectSame(
      graph, [z], tail == .residual || tail == .all ? feeds : feeds.filter { $0.key == x }, calls: 1)
  }

  @Test(arguments: [
    CUDALibraryOptions(allowsTF32: true), CUDALibraryOptions(isExact: true), CUDALibraryOptions(isDeterministic: true),
    CUDALibraryOptions(scratchLimit: 0), CUDALibraryOptions(measures: false),
  ])
  func options(options: CUDALibraryOptions) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2, 9, 8, 4], name: "x")
    let y = relu(
      biasAdd(
        conv2D(x, graph.constant(randomTensor([3, 3, 4, 6], seed: 2)), padding: .same),
        graph.constant(randomTensor([6], seed: 3))))
    let z = matMul(reshape(y, [144, 6]), graph.constant(randomTensor([6, 300], seed: 4)))
    try expectSame(graph, [z], [x: randomTensor([2, 9, 8, 4], seed: 1)], calls: 2, options: options)
  }
}
