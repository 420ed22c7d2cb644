import Foundation
import Martlet
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// Batch normalization by cuDNN: its numbers, and when it is worth a call. On the stand-in a small array is copied in less time
/// than any call takes, and a large one is normalized in one pass where channels come last, and in two where they come first.
struct NormalizationExecutionTests {
  /// What stands around a normalization.
  enum Neighbours: CaseIterable { case none, relu, residual }

  /// A normalization, by convolutions where nothing else stands around it, and its gradients.
  private struct Layer {
    let graph = Graph()
    var feeds: [Output: Tensor] = [:]
    var fetches: [Output] = []

    init(
      _ type: ElementType, _ format: DataFormat, _ neighbours: Neighbours = .none, shape: [Int] = [4, 8, 16, 16],
      factor: Float = 1
    ) throws {
      let (type, graph) = (type, graph)
      let extents = format == .nchw ? [shape[0], shape[3], shape[1], shape[2]] : shape
      var feeds: [Output: Tensor] = [:]
      func array(_ name: String, _ shape: [Int], _ type: ElementType, seed: UInt64) -> Output {
        let output = graph.placeholder(type, shape: Shape(shape), name: name)
        feeds[output] = Tensor(rounding: randomTensor(shape, seed: seed).doubles(), shape: shape, as: type)
        return output
      }
      let x = array("x", extents, type, seed: 1)
      let channels = [shape[3]]
      let (scale, offset) = (array("scale", channels, .float32, seed: 2), array("offset", channels, .float32, seed: 3))
      let moments = factor == 1 ? nil : array("moments", channels, .float32, seed: 6)
      let (y, mean, variance) = fusedBatchNorm(
        x, scale: scale, offset: offset, mean: moments, variance: moments.map { $0 * $0 },
        exponentialAverageFactor: factor, dataFormat: format)
      let residual = array("residual", extents, type, seed: 4)
      let upstream = array("upstream", extents, type, seed: 5)
      let z =
        switch neighbours {
        case .none: y
        case .relu: relu(y)
        case .residual: relu(y + residual)
        }
      if neighbours != .residual { feeds[residual] = nil }
      let found = try gradients(of: [z], withRespectTo: [x, scale, offset], upstream: [upstream])
      fetches = [z, mean, variance] + found.compactMap { $0 }
      self.feeds = feeds
    }

    func expected() throws -> [Tensor] {
      try Session(graph, options: SessionOptions(device: .interpreter)).run(fetches, feeds: feeds)
    }

    func check(
      _ results: [Tensor], _ type: ElementType, sourceLocation: Testing.SourceLocation = #_sourceLocation
    ) throws {
      for (i, (found, expected)) in zip(results, try expected()).enumerated() {
        let unit = found.elementType.isHalf ? 2 / Double(1 << type.significandWidth) : 1e-5
        let largest = expected.doubles().reduce(1) { max($0, abs($1)) }
        expectClose(
          found, expected, relative: unit, absolute: unit * largest, "fetch \(i)", sourceLocation: sourceLocation)
      }
    }
  }

  @Test(arguments: [ElementType.float32, .float16, .bfloat16], [DataFormat.nhwc, .nchw])
  func valuesAndGradients(type: ElementType, format: DataFormat) throws {
    let layer = try Layer(type, format)
    let machine = try LibraryMachine()
    let found = try machine.run(layer.graph, layer.fetches, layer.feeds)
    try layer.check(found.results, type)
    // Casts are part of the calls.
    #expect(found.calls == 2 && found.labels == [])
    #expect(machine.stub.count("cudnnBatchNormalizationForwardTraining") > 0)
    #expect(machine.stub.count("cudnnBatchNormalizationBackward") > 0)
    #expect(machine.stub.report == [])
  }

  @Test(arguments: [ElementType.float32, .float16, .bfloat16], [Neighbours.relu, .residual])
  func betweenKernels(type: ElementType, neighbours: Neighbours) throws {
    let layer = try Layer(type, .nhwc, neighbours)
    let machine = try LibraryMachine()
    let found = try machine.run(layer.graph, layer.fetches, layer.feeds)
    try layer.check(found.results, type)
    #expect(found.calls == 2)
    // A kernel for the ReLU and its gradient.
    #expect(found.labels == [neighbours == .relu ? "Relu+ReluGrad" : "AddV2+Relu+ReluGrad"])
    #expect(machine.stub.report == [])
  }

  /// A ReLU behind the call reads and writes what the kernel that takes it in does not: that is more than two passes save.
  @Test func whatStandsAroundCounts() throws {
    for neighbours in Neighbours.allCases {
      let layer = try Layer(.float32, .nchw, neighbours)
      let machine = try LibraryMachine()
      let found = try machine.run(layer.graph, layer.fetches, layer.feeds)
      try layer.check(found.results, .float32)
      #expect(found.calls == (neighbours == .none ? 2 : 1), "\(neighbours)")
      #expect(machine.stub.report == [])
    }
  }

  @Test(arguments: [ElementType.float32, .bfloat16]) func smallOnesAreKernels(type: ElementType) throws {
    let layer = try Layer(type, .nhwc, shape: [2, 3, 2, 4])
    let machine = try LibraryMachine()
    let found = try machine.run(layer.graph, layer.fetches, layer.feeds)
    try layer.check(found.results, type)
    #expect(found.calls == 0)
    #expect(machine.stub.report == [])
  }

  @Test func runningAveragesAreKernels() throws {
    let layer = try Layer(.float32, .nhwc, factor: 0.25)
    let machine = try LibraryMachine()
    let found = try machine.run(layer.graph, layer.fetches, layer.feeds)
    try layer.check(found.results, .float32)
    // The gradient is a call.
    #expect(found.calls == 1 && found.labels.contains { $0.contains("FusedBatchNormV3") })
  }

  /// The moments that a gradient is given count, whether they are those of x or not.
  @Test func gradientsWithOtherMoments() throws {
    let graph = Graph()
    let shape = [4, 8, 8, 16]
    let names = ["dy", "x", "scale", "mean", "deviation"]
    let operands = names.enumerated().map { i, name in
      graph.placeholder(.float32, shape: Shape(i < 2 ? shape : [16]), name: name)
    }
    let nothing = graph.constant(Tensor(zeros: .float32, shape: [0]))
    let results = graph.add(
      FusedBatchNormGradV3(), Array(operands[..<4]) + [operands[4] * operands[4] + 0.5, nothing])
    let feeds = Dictionary(
      uniqueKeysWithValues: operands.enumerated().map { i, operand in
        (operand, randomTensor(i < 2 ? shape : [16], seed: UInt64(i + 1)))
      })
    let fetches = Array(results[..<3])
    let machine = try LibraryMachine()
    let found = try machine.run(graph, fetches, feeds)
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run(fetches, feeds: feeds)
    #expect(found.calls == 1)
    for (found, expected) in zip(found.results, expected) {
      expectClose(found, expected, relative: 1e-4, absolute: 1e-2)
    }
    #expect(machine.stub.report == [])
  }

  // MARK: Choices

  static let normalization = BatchNormalization(
    role: .forward, elementType: .float32, isChannelsFirst: false, batch: 4, height: 8, width: 8, channels: 16,
    epsilon: 0.001)

  private func isClaimed(
    _ normalization: BatchNormalization, _ options: CUDALibraryOptions = CUDALibraryOptions()
  ) throws -> Bool {
    let machine = try LibraryMachine(options: options)
    defer { #expect(machine.stub.report == []) }
    return machine.claims(.batchNormalization(normalization))
  }

  @Test(arguments: [BatchNormalization.Role.forward, .backward]) func whatIsClaimed(role: BatchNormalization.Role)
    throws
  {
    var plain = Self.normalization
    plain.role = role
    var (double, single, negative, empty, surrounded) = (plain, plain, plain, plain, plain)
    double.elementType = .float64
    (single.batch, single.height, single.width) = (1, 1, 1)
    negative.epsilon = -0.001
    empty.batch = 0
    surrounded.savedPasses = plain.passes
    var (odd, planes) = (plain, plain)
    (odd.batch, odd.height, odd.width, odd.channels) = (3, 9, 7, 33)
    (planes.batch, planes.channels, planes.isChannelsFirst) = (1, 64, true)
    for normalization in [plain, odd, planes] { #expect(try isClaimed(normalization), "\(normalization)") }
    for normalization in [double, single, negative, empty, surrounded] {
      #expect(try !isClaimed(normalization), "\(normalization)")
    }
    #expect(try !isClaimed(plain, CUDALibraryOptions(isExact: true)))
    #expect(try !isClaimed(plain, CUDALibraryOptions(isDeterministic: true)))
    #expect(try !isClaimed(plain, CUDALibraryOptions(measures: false)))
  }

  /// What cuDNN refuses to carry out, whichever call it is, stays with kernels.
  @Test(arguments: [
    ("cudnnBatchNormalizationForwardTraining", 3000), ("cudnnAddTensor", 3000),
    ("cudnnBatchNormalizationForwardInference", 5000), ("cudnnBatchNormalizationBackward", 2000),
  ])
  func whatIsNotCarriedOut(call: String, code: Int) throws {
    let layer = try Layer(.float16, .nhwc)
    let machine = try LibraryMachine()
    machine.stub.fail(call, nth: -1, code: code)
    let found = try machine.run(layer.graph, layer.fetches, layer.feeds)
    #expect(found.calls == 1 && found.kernels > 0)
    try layer.check(found.results, .float16)
    #expect(machine.stub.report == [])
  }

  /// Ways are timed once; a call that is not worth it is not even tried in the next process.
  @Test(arguments: [true, false]) func choicesAreKept(isLarge: Bool) throws {
    let machine = try LibraryMachine()
    let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-choices-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var normalization = Self.normalization
    if !isLarge { (normalization.height, normalization.width) = (1, 1) }
    let call = "cudnnBatchNormalizationForwardTraining"
    var counts: [Int] = []
    for _ in 0..<2 {
      let before = machine.stub.count(call)
      let executions = CUDALibraryExecutions(machine.context, cache: .folder(folder))
      #expect((executions.execution(of: .batchNormalization(normalization)) != nil) == isLarge)
      counts.append(machine.stub.count(call) - before)
    }
    // Two ways, each tried once and timed four times; then what was kept is tried.
    #expect(counts == (isLarge ? [10, 1] : [10, 0]))
    #expect(machine.stub.report == [])
  }

  /// A step of training, with generated kernels and CUDA graphs.
  @Test func trainingInASession() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4, 8, 8, 16], name: "x")
    let names = ["scale", "offset"]
    let variables = names.enumerated().map { i, name in
      (
        handle: graph.variableHandle(.float32, shape: [16], name: name),
        value: randomTensor([16], seed: UInt64(i + 1))
      )
    }
    let values = variables.map { readVariable($0.handle) }
    let y = relu(fusedBatchNorm(x, scale: values[0], offset: values[1]).y)
    let loss = mean(y * y)
    let found = try gradients(of: [loss], withRespectTo: values)
    let updates = try zip(variables, found).map { variable, gradient in
      assignSub(variable.handle, try #require(gradient) * 0.1)
    }
    try StubSession.check(
      graph, [loss], feeds: [x: randomTensor([4, 8, 8, 16], seed: 9)], targets: updates, variables: variables, runs: 3)
  }
}
