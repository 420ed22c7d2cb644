import Foundation
import Martlet
import MartletGraph
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// Products that add up a factor beside, as for the gradient of a bias.
struct SummedFactorTests {
  /// Compares with the interpreter, and expects that many kernels beside one call.
  private func expect(
    _ graph: Graph, _ fetches: [Output], _ feeds: [Output: Tensor], kernels: Int, relative: Double = 1e-5,
    options: CUDALibraryOptions = CUDALibraryOptions(), sourceLocation: Testing.SourceLocation = #_sourceLocation
  ) throws {
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run(fetches, feeds: feeds)
    let machine = try LibraryMachine(options: options)
    let found = try machine.run(graph, fetches, feeds)
    for (found, expected) in zip(found.results, expected) {
      expectClose(found, expected, relative: relative, absolute: 1e-5, sourceLocation: sourceLocation)
    }
    #expect(found.calls == 1 && found.kernels == kernels, sourceLocation: sourceLocation)
    #expect(machine.stub.report == [], sourceLocation: sourceLocation)
  }

  /// A batch and the gradient of a layer's result.
  private func layer(_ graph: Graph, _ type: ElementType = .float32) -> (x: Output, dy: Output, feeds: [Output: Tensor])
  {
    let x = graph.placeholder(type, shape: [9, 12], name: "x")
    let dy = graph.placeholder(type, shape: [3, 3, 10], name: "dy")
    func random(_ shape: [Int], _ seed: UInt64) -> Tensor {
      Tensor(rounding: randomTensor(shape, seed: seed).doubles(), shape: shape, as: type)
    }
    return (x, dy, [x: random([9, 12], 1), dy: random([3, 3, 10], 2)])
  }

  /// As the second factor and as the first, with and without the axes that are summed over.
  @Test(arguments: [true, false], [ElementType.float32, .float64, .float16, .bfloat16])
  func gradientsOfBiases(isFirst: Bool, type: ElementType) throws {
    for keepDims in [true, false] {
      let graph = Graph()
      let (x, dy, feeds) = layer(graph, type)
      let rows = reshape(dy, [9, 10])
      let weights = isFirst ? matMul(rows, x, transposeA: true) : matMul(x, rows, transposeA: true)
      let bias = sum(dy, axes: [0, 1], keepDims: keepDims)
      let relative = type.isHalf ? 2 / Double(1 << type.significandWidth) : 1e-5
      try expect(graph, [weights, bias], feeds, kernels: 0, relative: relative)
    }
  }

  /// A step of gradient descent goes into the weights in the call; the sums are not scaled with it.
  @Test func stepsOfWeights() throws {
    let graph = Graph()
    var (x, dy, feeds) = layer(graph)
    let w = graph.placeholder(.float32, shape: [12, 10], name: "w")
    let b = graph.placeholder(.float32, shape: [10], name: "b")
    feeds[w] = randomTensor([12, 10], seed: 3)
    feeds[b] = randomTensor([10], seed: 4)
    let rows = reshape(dy, [9, 10])
    let fetches = [w - 0.1 * matMul(x, rows, transposeA: true), b - 0.1 * sum(rows, axes: [0])]
    // The step of the bias is left.
    try expect(graph, fetches, feeds, kernels: 1)
  }

  /// Beside a product of 16 bits whose result is cast, sums are not rounded before they are cast either.
  @Test(arguments: [ElementType.float16, .bfloat16])
  func sumsOfFloat32(type: ElementType) throws {
    let graph = Graph()
    let (x, dy, feeds) = layer(graph, type)
    let rows = reshape(dy, [9, 10])
    func gradients(_ x: Output, _ rows: Output) -> [Output] {
      [matMul(x, rows, transposeA: true), sum(rows, axes: [0])].map { cast($0, to: .float32) }
    }
    let wide = gradients(cast(x, to: .float32), cast(rows, to: .float32))
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run(wide, feeds: feeds)
    let machine = try LibraryMachine()
    let found = try machine.run(graph, gradients(x, rows), feeds)
    for (found, expected) in zip(found.results, expected) {
      expectClose(found, expected, relative: 1e-5, absolute: 1e-5)
    }
    // The kernel is left with two casts of the sums, which come to nothing.
    #expect(found.calls == 1 && found.kernels == 1)
    #expect(machine.stub.report == [])
  }

  /// Without measurements, and in exact sessions, a kernel adds up.
  @Test(arguments: [
    CUDALibraryOptions(measures: false), CUDALibraryOptions(isDeterministic: true), CUDALibraryOptions(isExact: true),
  ])
  func sumsOfTheirOwn(options: CUDALibraryOptions) throws {
    let graph = Graph()
    let (x, dy, feeds) = layer(graph)
    let rows = reshape(dy, [9, 10])
    try expect(
      graph, [matMul(x, rows, transposeA: true), sum(rows, axes: [0])], feeds, kernels: 1, options: options)
  }

  /// Sums over other axes, and those that the product's other factor depends on.
  @Test func otherSums() throws {
    let graph = Graph()
    let (x, dy, feeds) = layer(graph)
    let rows = reshape(dy, [9, 10])
    try expect(graph, [matMul(x, rows, transposeA: true), sum(rows, axes: [1])], feeds, kernels: 1)
    let total = sum(rows, axes: [0])
    try expect(graph, [matMul(x * sum(total), rows, transposeA: true), total], feeds, kernels: 1)
  }

  /// A choice is kept, and made again from what is kept.
  @Test func choicesAreKept() throws {
    let machine = try LibraryMachine()
    let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-sums-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var product = LibraryExecutionTests.product
    product.epilogue = Epilogue()
    product.summedFactor = .right
    func copies() -> Int {
      let executions = CUDALibraryExecutions(machine.context, cache: .folder(folder))
      let before = machine.stub.count("cuMemcpyDtoDAsync_v2")
      #expect(executions.execution(of: .matrixProduct(product)) != nil)
      return machine.stub.count("cuMemcpyDtoDAsync_v2") - before
    }
    #expect(copies() > 0)
    #expect(copies() == 0)
    #expect(machine.stub.report == [])
  }

  /// Sums that are not the factor's are not taken: nothing is claimed where no way gives them.
  @Test func productsThatAreNotCarriedOut() throws {
    let machine = try LibraryMachine()
    var product = LibraryExecutionTests.product
    product.epilogue = Epilogue()
    product.summedFactor = .left
    machine.stub.fail("cublasLtMatmul", nth: -1, code: 15)
    #expect(machine.executions.execution(of: .matrixProduct(product)) == nil)
    // A bias has the address of the sums.
    product.epilogue.hasBias = true
    #expect(try LibraryMachine().executions.execution(of: .matrixProduct(product)) == nil)
    #expect(machine.stub.report == [])
  }
}
