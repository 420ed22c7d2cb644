import Martlet
import MartletGraph
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// Products with GELU in its form with a tangent for training: what it is given is stored beside, and read by its gradient.
struct GELUProductTests {
  /// Compares with the interpreter, and expects that many calls, and kernels of these labels.
  private func expect(
    _ graph: Graph, _ fetches: [Output], _ feeds: [Output: Tensor], calls: Int = 1, kernels: [String] = [],
    options: CUDALibraryOptions = CUDALibraryOptions(), sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) throws {
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run(fetches, feeds: feeds)
    let machine = try LibraryMachine(options: options)
    let found = try machine.run(graph, fetches, feeds)
    for (found, expected) in zip(found.results, expected) {
      // Ways with a coarse tangent are off by 1e-4 and more.
      expectClose(found, expected, relative: 1e-5, absolute: 1e-5, sourceLocation: sourceLocation)
    }
    #expect(found.calls == calls, sourceLocation: sourceLocation)
    #expect(found.labels == kernels, sourceLocation: sourceLocation)
    #expect(machine.stub.report == [], sourceLocation: sourceLocation)
  }

  private func feeds(_ arrays: Output...) -> [Output: Tensor] {
    var feeds: [Output: Tensor] = [:]
    for (i, array) in arrays.enumerated() { feeds[array] = randomTensor(array.shape.known ?? [], seed: UInt64(i)) }
    return feeds
  }

  /// The gradient of a layer's result, the layer's weights, and what the GELU in front of it was given.
  private func layer(_ graph: Graph, _ rows: Int, _ width: Int) -> (dy: Output, w: Output, x: Output) {
    (
      graph.placeholder(.float32, shape: Shape([rows, 10]), name: "dy"),
      graph.placeholder(.float32, shape: Shape([width, 10]), name: "w"),
      graph.placeholder(.float32, shape: Shape([rows, width]), name: "x")
    )
  }

  private func gradient(_ dy: Output, _ x: Output, approximate: Bool = true) -> Output {
    dy.graph.add(GeluGrad(approximate: approximate), [dy, x])[0]
  }

  /// dy · wᵀ times the derivative; the first factor transposed, and a residual.
  @Test(arguments: [8, 24, 136], [2, 9])
  func gradientsOfGELU(width: Int, rows: Int) throws {
    for hasResidual in [false, true] {
      let graph = Graph()
      let (dy, w, x) = layer(graph, rows, width)
      let other = graph.placeholder(.float32, shape: Shape([rows, width]), name: "other")
      let product = matMul(dy, w, transposeB: true)
      let result = gradient(hasResidual ? 0.5 * product + other : product, x)
      try expect(graph, [result], hasResidual ? feeds(dy, w, x, other) : feeds(dy, w, x))
    }
    let graph = Graph()
    let (dy, w, x) = layer(graph, rows, width)
    let turned = graph.placeholder(.float32, shape: Shape([10, rows]), name: "turned")
    let result = gradient(matMul(turned, w, transposeA: true, transposeB: true), x)
    try expect(graph, [result], feeds(turned, w, x))
    _ = dy
  }

  /// What a layer computes and its gradient, with the batch in one dimension or two: no kernel is needed, and what GELU was given may
  /// be asked for.
  @Test(arguments: [[9], [3, 5]], [false, true])
  func layersAndTheirGradients(batch: [Int], isFetched: Bool) throws {
    let graph = Graph()
    let rows = batch.reduce(1, *)
    let x = graph.placeholder(.float32, shape: Shape([rows, 12]), name: "x")
    let v = graph.placeholder(.float32, shape: [12, 24], name: "v")
    let b = graph.placeholder(.float32, shape: [24], name: "b")
    let dy = graph.placeholder(.float32, shape: Shape([rows, 10]), name: "dy")
    let w = graph.placeholder(.float32, shape: [24, 10], name: "w")
    func shaped(_ x: Output) -> Output { batch.count == 1 ? x : reshape(x, batch + [24]) }
    let sum = shaped(matMul(x, v)) + b
    let h = gelu(sum, approximate: true)
    let dh = gradient(shaped(matMul(dy, w, transposeB: true)), sum)
    try expect(graph, isFetched ? [h, dh, sum] : [h, dh], feeds(x, v, b, dy, w), calls: 2)
  }

  /// In a session: a step of training of a network of two layers.
  @Test(arguments: [true, false])
  func sessions(approximate: Bool) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [9, 12], name: "x")
    let (v, w) = (
      graph.placeholder(.float32, shape: [12, 24], name: "v"), graph.placeholder(.float32, shape: [24, 10], name: "w")
    )
    let b = graph.placeholder(.float32, shape: [24], name: "b")
    let h = gelu(biasAdd(matMul(x, v), b), approximate: approximate)
    let loss = mean(square(matMul(h, w)), axes: [0, 1])
    let gradients = try gradients(of: [loss], withRespectTo: [v, w, b]).map { try #require($0) }
    let steps = zip([v, w, b], gradients).map { $0 - 0.1 * $1 }
    try StubSession.check(graph, [loss] + steps, feeds: feeds(x, v, w, b))
  }

  /// The form with the error function is left to kernels, and so is everything without measurements, in exact sessions, and where rows
  /// are of no multiple of 8.
  @Test(arguments: [
    (CUDALibraryOptions(), 24, false), (CUDALibraryOptions(), 12, true),
    (CUDALibraryOptions(measures: false), 24, true), (CUDALibraryOptions(isDeterministic: true), 24, true),
    (CUDALibraryOptions(isExact: true), 24, true),
  ])
  func kernelsOfTheirOwn(options: CUDALibraryOptions, width: Int, approximate: Bool) throws {
    let graph = Graph()
    let (dy, w, x) = layer(graph, 9, width)
    let result = gradient(matMul(dy, w, transposeB: true), x, approximate: approximate)
    try expect(graph, [result], feeds(dy, w, x), kernels: ["_GeluGrad"], options: options)
    let other = Graph()
    let (u, v, _) = layer(other, 9, width)
    let b = other.placeholder(.float32, shape: Shape([width]), name: "b")
    let sum = biasAdd(matMul(u, v, transposeB: true), b)
    try expect(
      other, [sum, gelu(sum, approximate: approximate)], feeds(u, v, b), kernels: ["_Gelu"], options: options)
  }

  /// Each contract is claimed where it is measured, for f32 only, and where a way has the exact tangent.
  @Test func claims() throws {
    var (forward, backward) = (LibraryExecutionTests.product, LibraryExecutionTests.product)
    (forward.n, backward.n) = (160, 160)
    (forward.epilogue, forward.storesGELUInput) = (Epilogue(hasBias: true, activation: .geluByTanh), true)
    backward.epilogue = Epilogue(hasGELUInput: true)
    func isClaimed(
      _ product: MatrixProduct, _ options: CUDALibraryOptions = CUDALibraryOptions(), failing: Bool = false
    ) throws -> Bool {
      let machine = try LibraryMachine(options: options)
      if failing { machine.stub.fail("cublasLtMatmul", nth: -1, code: 15) }
      defer { #expect(machine.stub.report == []) }
      return machine.executions.execution(of: .matrixProduct(product)) != nil
    }
    for product in [forward, backward] {
      #expect(try isClaimed(product))
      #expect(try !isClaimed(product, failing: true))
      #expect(try !isClaimed(product, CUDALibraryOptions(measures: false)))
      #expect(try !isClaimed(product, CUDALibraryOptions(isDeterministic: true)))
      #expect(try !isClaimed(product, CUDALibraryOptions(isExact: true)))
      var other = product
      other.n = 156
      #expect(try !isClaimed(other))
      (other.n, other.resultType, other.elementType) = (160, .float16, .float16)
      #expect(try !isClaimed(other))
    }
    forward.epilogue.hasBias = false
    #expect(try !isClaimed(forward))
    backward.epilogue.hasBias = true
    #expect(try !isClaimed(backward))
  }
}
