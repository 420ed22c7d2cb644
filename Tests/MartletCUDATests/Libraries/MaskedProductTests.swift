import Martlet
import MartletGraph
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// Products that are masked as the gradient of a ReLU is.
struct MaskedProductTests {
  /// Compares with the interpreter, and expects that many calls, and kernels of these labels.
  private func expect(
    _ graph: Graph, _ fetches: [Output], _ feeds: [Output: Tensor], calls: Int = 1, kernels: [String],
    type: ElementType = .float32, options: CUDALibraryOptions = CUDALibraryOptions(),
    sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) throws {
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run(
      fetches, feeds: feeds)
    let machine = try LibraryMachine(options: options)
    let found = try machine.run(graph, fetches, feeds)
    let relative = type.isHalf ? 2 / Double(1 << type.significandWidth) : 1e-5
    for (found, expected) in zip(found.results, expected) {
      expectClose(
        found, expected, relative: relative, absolute: 1e-5, sourceLocation: sourceLocation)
    }
    #expect(found.calls == calls, sourceLocation: sourceLocation)
    #expect(found.labels == kernels, sourceLocation: sourceLocation)
    #expect(machine.stub.report == [], sourceLocation: sourceLocation)
  }

  private func random(_ shape: [Int], _ seed: UInt64, _ type: ElementType) -> Tensor {
    Tensor(rounding: randomTensor(shape, seed: seed).doubles(), shape: shape, as: type)
  }

  /// The gradient of a layer's result, the layer's weights, and what the ReLU in front of it was given.
  private func layer(_ graph: Graph, _ width: Int, _ type: ElementType = .float32) -> (
    dy: Output, w: Output, x: Output
  ) {
    (
      graph.placeholder(type, shape: [9, 10], name: "dy"),
      graph.placeholder(type, shape: Shape([width, 10]), name: "w"),
      graph.placeholder(type, shape: Shape([9, width]), name: "x")
    )
  }

  private func feeds(_ arrays: Output...) -> [Output: Tensor] {
    var feeds: [Output: Tensor] = [:]
    for (i, array) in arrays.enumerated() {
      feeds[array] = random(array.shape.known ?? [], UInt64(i), array.elementType)
    }
    return feeds
  }

  /// The gradient of a ReLU.
  private func masked(_ gradient: Output, _ x: Output) -> Output { gradient.graph.add(ReluGrad(), [gradient, x])[0] }

  /// dy · wᵀ where the layer's result was positive; a kernel packs the bits. Widths around a multiple of 128.
  @Test(arguments: [8, 20, 127, 128, 129], [ElementType.float32, .float16, .bfloat16])
  func gradientsOfReLU(width: Int, type: ElementType) throws {
    for hasResidual in [true, false] {
      let graph = Graph()
      let (dy, w, x) = layer(graph, width, type)
      let other = graph.placeholder(type, shape: Shape([9, width]), name: "other")
      var gradient = matMul(dy, w, transposeB: true)
      if hasResidual { gradient = gradient + other }
      var feeds = feeds(dy, w, x)
      if hasResidual { feeds[other] = random([9, width], 4, type) }
      try expect(graph, [masked(gradient, x)], feeds, kernels: ["Mask"], type: type)
    }
  }

  /// In a session: the kernel that packs bits, and a step of training that has masks and sums.
  @Test func sessions() throws {
    let graph = Graph()
    let (dy, w, x) = layer(graph, 20)
    let gradient = masked(matMul(dy, w, transposeB: true), x)
    try StubSession.check(graph, [gradient], feeds: feeds(dy, w, x))
    let v = graph.placeholder(.float32, shape: [12, 20], name: "v")
    let input = graph.placeholder(.float32, shape: [9, 12], name: "input")
    let b = graph.placeholder(.float32, shape: [20], name: "b")
    let h = relu(biasAdd(matMul(input, v), b))
    let back = masked(matMul(dy, w, transposeB: true), h)
    let fetches = [v - 0.1 * matMul(input, back, transposeA: true), b - 0.1 * sum(back, axes: [0])]
    try StubSession.check(graph, fetches, feeds: feeds(dy, w, v, input, b))
  }

  /// What a layer computes and its gradient: the mask comes from the layer's own call, so that no kernel is needed.
  @Test(arguments: [8, 20, 129], [ElementType.float32, .float16, .bfloat16])
  func layersAndTheirGradients(width: Int, type: ElementType) throws {
    let graph = Graph()
    let x = graph.placeholder(type, shape: [9, 12], name: "x")
    let v = graph.placeholder(type, shape: Shape([12, width]), name: "v")
    let b = graph.placeholder(type, shape: Shape([width]), name: "b")
    let dy = graph.placeholder(type, shape: [9, 10], name: "dy")
    let w = graph.placeholder(type, shape: Shape([width, 10]), name: "w")
    let h = relu(biasAdd(matMul(x, v), b))
    let gradient = graph.add(ReluGrad(), [matMul(dy, w, transposeB: true), h])[0]
    let feeds = feeds(x, v, b, dy, w)
    try expect(graph, [h, gradient], feeds, calls: 2, kernels: [], type: type)
  }

  /// Without measurements, in exact sessions, and with too few columns to see the order of bits a kernel masks.
  @Test(arguments: [
    (CUDALibraryOptions(measures: false), 20), (CUDALibraryOptions(isDeterministic: true), 20),
    (CUDALibraryOptions(isExact: true), 20), (CUDALibraryOptions(), 7),
  ])
  func masksOfTheirOwn(options: CUDALibraryOptions, width: Int) throws {
    let graph = Graph()
    let (dy, w, x) = layer(graph, width)
    try expect(
      graph, [masked(matMul(dy, w, transposeB: true), x)], feeds(dy, w, x), kernels: ["ReluGrad"],
      options: options)
  }

  /// The contract itself is claimed where it is measured, and only then; a bias or an activation has no mask beside.
  @Test func claims() throws {
    var product = LibraryExecutionTests.product
    product.epilogue = Epilogue(hasMask: true)
    func isClaimed(_ options: CUDALibraryOptions = CUDALibraryOptions()) throws -> Bool {
      let machine = try LibraryMachine(options: options)
      defer { #expect(machine.stub.report == []) }
      return machine.executions.execution(of: .matrixProduct(product)) != nil
    }
    #expect(try isClaimed())
    #expect(try !isClaimed(CUDALibraryOptions(measures: false)))
    #expect(try !isClaimed(CUDALibraryOptions(isDeterministic: true)))
    #expect(try !isClaimed(CUDALibraryOptions(isExact: true)))
    product.n = 7
    #expect(try !isClaimed())
    (product.n, product.epilogue.hasBias) = (160, true)
    #expect(try !isClaimed())
    product.epilogue = Epilogue(activation: .relu(slope: 0), hasMask: true)
    #expect(try !isClaimed())
    #expect(
      try LibraryMachine().executions.execution(
        of: .convolution(
          {
            var convolution = LibraryExecutionTests.convolution
            convolution.epilogue = Epilogue(hasMask: true)
            return convolution
          }())) == nil)
  }
}
