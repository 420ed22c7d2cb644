import Martlet
import MartletGraph
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// Library calls on floats of 16 bits: computed with in float32, rounded once.
struct HalfLibraryTests {
  /// Rounded the other way, a result is off by a unit in the last place.
  private func unit(_ type: ElementType) -> Double { type == .float16 ? 0x1p-10 : 0x1p-7 }

  /// Compares with other results, and expects that many library calls and kernels.
  private func expect(
    _ graph: Graph, _ fetches: [Output], _ feeds: [Output: Tensor], _ expected: [Tensor], calls: Int,
    kernels: Int? = nil,
    sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) throws {
    let machine = try LibraryMachine()
    let found = try machine.run(graph, fetches, feeds)
    for (found, expected) in zip(found.results, expected) {
      let relative = found.elementType.isHalf ? unit(found.elementType) : 1e-5
      expectClose(found, expected, relative: relative, absolute: 1e-5, sourceLocation: sourceLocation)
    }
    #expect(found.calls == calls, sourceLocation: sourceLocation)
    if let kernels { #expect(found.kernels == kernels, sourceLocation: sourceLocation) }
    #expect(machine.stub.report == [], sourceLocation: sourceLocation)
  }

  private func interpreted(
    _ graph: Graph, _ fetches: [Output], _ feeds: [Output: Tensor], exact: Bool = false
  ) throws -> [Tensor] {
    var options = SessionOptions(device: .interpreter)
    options.isExact = exact
    return try Session(graph, options: options).run(fetches, feeds: feeds)
  }

  private func random(_ shape: [Int], seed: UInt64, _ type: ElementType) -> Tensor {
    Tensor(rounding: randomTensor(shape, seed: seed).doubles(), shape: shape, as: type)
  }

  @Test(arguments: LibraryTests.windows, [ElementType.float16, .bfloat16])
  func convolutionsAndTheirGradients(window: ConvolutionWindow, type: ElementType) throws {
    let graph = Graph()
    let (k, i) = (window.kernel, window.inputs)
    let images = graph.placeholder(type, shape: Shape(window.shape(2, i)), name: "images")
    let filter = graph.placeholder(type, shape: [k, k, i, window.outputs], name: "filter")
    let y = conv2D(
      images, filter, strides: PerDimension(window.stride), padding: window.padding,
      dilations: PerDimension(window.dilation), dataFormat: window.format)
    let dy = graph.constant(random(y.shape.known ?? [], seed: 3, type))
    let fetches = [y] + (try gradients(of: [y * dy], withRespectTo: [images, filter])).compactMap { $0 }
    let feeds = [
      images: random(window.shape(2, i), seed: 1, type), filter: random([k, k, i, window.outputs], seed: 2, type),
    ]
    // Without casts around calls all that is left is the gradient of the product with dy.
    try expect(graph, fetches, feeds, try interpreted(graph, fetches, feeds), calls: 3, kernels: 1)
  }

  @Test(arguments: [LibraryTests.Tail.bias, .relu, .residual, .all], [ElementType.float16, .bfloat16])
  func epiloguesOfConvolutions(tail: LibraryTests.Tail, type: ElementType) throws {
    let graph = Graph()
    let x = graph.placeholder(type, shape: [2, 7, 6, 4], name: "x")
    let residual = graph.placeholder(type, shape: [2, 7, 6, 5], name: "residual")
    let y = conv2D(x, graph.constant(random([3, 3, 4, 5], seed: 2, type)), padding: .same)
    let z = tail(y, graph.constant(random([5], seed: 3, type)), residual)
    let hasResidual = tail == .residual || tail == .all
    let feeds = [x: random([2, 7, 6, 4], seed: 1, type), residual: random([2, 7, 6, 5], seed: 4, type)]
      .filter { hasResidual || $0.key == x }
    try expect(graph, [z], feeds, try interpreted(graph, [z], feeds), calls: 1, kernels: 0)
    // In an exact session each operation rounds, and what follows the call is not the library's.
    let exact = try LibraryMachine(options: CUDALibraryOptions(isExact: true))
    let found = try exact.run(graph, [z], feeds)
    #expect(found.calls == 1 && found.kernels > 0)
    // Sums of numbers below 4, one of them off by a unit, may cancel.
    let expected = try interpreted(graph, [z], feeds, exact: true)[0]
    expectClose(found.results[0], expected, relative: unit(type), absolute: 4 * unit(type))
  }

  /// The moments of a batch normalization go into the filter, and a vector of float32 becomes a bias of 16 bits.
  @Test(arguments: [ElementType.float16, .bfloat16], [true, false])
  func normalizationsBehindConvolutions(type: ElementType, isMixed: Bool) throws {
    let graph = Graph()
    let x = graph.placeholder(type, shape: [1, 5, 6, 8], name: "x")
    let y = conv2D(x, graph.constant(random([3, 3, 8, 8], seed: 2, type)), padding: .same)
    func channels(_ seed: UInt64) -> Output {
      graph.constant(random([8], seed: seed, isMixed ? .float32 : type))
    }
    let variance = graph.constant(
      Tensor(rounding: (1...8).map { Double($0) / 4 }, shape: [8], as: isMixed ? .float32 : type))
    let z = relu(
      fusedBatchNorm(
        y, scale: channels(3), offset: channels(4), mean: channels(5), variance: variance, isTraining: false
      )
      .y)
    let feeds = [x: random([1, 5, 6, 8], seed: 1, type)]
    let machine = try LibraryMachine()
    let found = try machine.run(graph, [z], feeds)
    // The filter is rounded once more: each of 72 products may be off by half a unit.
    expectClose(
      found.results[0], try interpreted(graph, [z], feeds)[0], relative: 2 * unit(type), absolute: 4 * unit(type))
    #expect(found.calls == 1 && found.kernels == 0)
    #expect(machine.stub.report == [])
  }

  @Test(arguments: [LibraryTests.Tail.bias, .relu, .residual, .all], [ElementType.float16, .bfloat16])
  func epiloguesOfProducts(tail: LibraryTests.Tail, type: ElementType) throws {
    let graph = Graph()
    let x = graph.placeholder(type, shape: [9, 12], name: "x")
    let residual = graph.placeholder(type, shape: [9, 10], name: "residual")
    let z = tail(
      matMul(x, graph.constant(random([12, 10], seed: 2, type))), graph.constant(random([10], seed: 3, type)), residual)
    let hasResidual = tail == .residual || tail == .all
    let feeds = [x: random([9, 12], seed: 1, type), residual: random([9, 10], seed: 4, type)]
      .filter { hasResidual || $0.key == x }
    try expect(graph, [z], feeds, try interpreted(graph, [z], feeds), calls: 1, kernels: 0)
  }

  /// What is cast to float32 is not rounded before, and a step of gradient descent needs no kernel of its own.
  @Test(arguments: [ElementType.float16, .bfloat16])
  func productsWithResultsOfFloat32(type: ElementType) throws {
    let graph = Graph()
    let x = graph.placeholder(type, shape: [9, 12], name: "x")
    let dy = graph.placeholder(type, shape: [9, 10], name: "dy")
    let w = graph.placeholder(.float32, shape: [12, 10], name: "w")
    let product = cast(matMul(x, dy, transposeA: true), to: .float32)
    let full = matMul(cast(x, to: .float32), cast(dy, to: .float32), transposeA: true)
    let feeds = [
      x: random([9, 12], seed: 1, type), dy: random([9, 10], seed: 2, type), w: randomTensor([12, 10], seed: 3),
    ]
    let expected = try interpreted(graph, [full, w - 0.1 * full], feeds)
    for (fetch, expected) in zip([product, w - 0.1 * product], expected) {
      let feeds = feeds.filter { $0.key != w || fetch != product }
      try expect(graph, [fetch], feeds, [expected], calls: 1, kernels: 0)
    }
    // In an exact session the product is rounded to its own type.
    let exact = try LibraryMachine(options: CUDALibraryOptions(isExact: true))
    let rounded = try exact.run(graph, [product], feeds.filter { $0.key != w }).results[0]
    #expect(rounded.doubles() == Tensor(rounding: rounded.doubles(), shape: [12, 10], as: type).doubles())
  }

  @Test(arguments: [ElementType.float16, .bfloat16], [true, false])
  func pooling(type: ElementType, isMaximum: Bool) throws {
    let graph = Graph()
    let images = graph.placeholder(type, shape: [2, 7, 6, 5], name: "images")
    let y = isMaximum ? maxPool(images, size: 3, strides: 2) : avgPool(images, size: 3, strides: 2)
    let feeds = [images: random([2, 7, 6, 5], seed: 1, type)]
    try expect(graph, [y], feeds, try interpreted(graph, [y], feeds), calls: 1, kernels: 0)
  }

  /// Means that are added up in 16 bits are not taken, nor are gradients of 16 bits asked for.
  @Test func whatMayBeRoundedOnTheWayIsNotClaimed() throws {
    let machine = try LibraryMachine()
    var pooling = Pooling(
      role: .forward, kind: .average, elementType: .bfloat16, isChannelsFirst: false, batch: 1, channels: 2,
      input: (5, 5), output: (1, 1), kernel: (5, 5), strides: (1, 1), padding: (0, 0, 0, 0))
    #expect(machine.executions.execution(of: .pooling(pooling)) == nil)
    pooling.elementType = .float16
    #expect(machine.executions.execution(of: .pooling(pooling)) != nil)
    pooling.role = .backward
    #expect(machine.executions.execution(of: .pooling(pooling)) == nil)
    #expect(machine.stub.report == [])
  }
}
