import Foundation
import Martlet
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// Recurrent layers by cuDNN: their numbers, which way is taken, and what failures say.
struct RecurrentExecutionTests {
  /// A layer whose operands are all fed, with its results and all gradients.
  private struct Layer {
    let graph = Graph()
    var feeds: [Output: Tensor] = [:]
    var fetches: [Output] = []

    init(_ cell: RecurrentCell, directions: Int, steps: Int = 3, batch: Int = 2) throws {
      let (inputs, hidden) = (5, 4)
      let rows = cell.gateCount * hidden
      let shapes =
        [[steps, batch, inputs], [directions, rows, inputs], [directions, rows, hidden], [directions, 2, rows]]
        + Array(repeating: [directions, batch, hidden], count: cell.stateCount)
      var operands: [Output] = []
      for (i, shape) in shapes.enumerated() {
        operands.append(graph.placeholder(.float32, shape: Shape(shape), name: "operand\(i)"))
        feeds[operands[i]] = randomTensor(shape, seed: UInt64(i + 1))
      }
      let results = graph.add(RecurrentLayer(cell), operands)
      let weights = results.enumerated().map { i, result in
        graph.constant(randomTensor(result.shape.known ?? [], seed: UInt64(20 + i)))
      }
      fetches =
        try results
        + gradients(of: results, withRespectTo: operands, upstream: weights).compactMap { $0 }
    }

    func expected() throws -> [Tensor] {
      try Session(graph, options: SessionOptions(device: .interpreter)).run(fetches, feeds: feeds)
    }
  }

  @Test(arguments: RecurrentCell.allCases, [1, 2]) func layersAndGradients(cell: RecurrentCell, directions: Int) throws
  {
    let layer = try Layer(cell, directions: directions)
    let machine = try LibraryMachine()
    let found = try machine.run(layer.graph, layer.fetches, layer.feeds)
    for (i, (found, expected)) in zip(found.results, try layer.expected()).enumerated() {
      expectClose(found, expected, relative: 1e-5, absolute: 1e-5, "fetch \(i)")
    }
    // A reset gate before the product cuDNN does not have.
    let isThere = cell != .gruResetBefore
    #expect((machine.stub.count("cudnnRNNForward") > 0) == isThere)
    if isThere { #expect(found.calls == 2 && found.kernels == 0) }
    #expect(machine.stub.report == [])
  }

  static let network = RecurrentNetwork(
    role: .backward, cell: .lstm, elementType: .float32, steps: 3, batch: 2, inputs: 5, hidden: 4, directions: 1)

  private func isClaimed(
    _ network: RecurrentNetwork, _ options: CUDALibraryOptions = CUDALibraryOptions()
  ) throws -> Bool {
    let machine = try LibraryMachine(options: options)
    defer { #expect(machine.stub.report == []) }
    return machine.claims(.recurrent(network))
  }

  @Test func whatIsClaimed() throws {
    var empty = Self.network
    empty.steps = 0
    var double = Self.network
    double.elementType = .float64
    #expect(try isClaimed(Self.network))
    #expect(try isClaimed(Self.network, CUDALibraryOptions(allowsTF32: true)))
    #expect(try isClaimed(Self.network, CUDALibraryOptions(measures: false)))
    #expect(try !isClaimed(empty))
    #expect(try !isClaimed(double))
    #expect(try !isClaimed(Self.network, CUDALibraryOptions(isExact: true)))
    #expect(try !isClaimed(Self.network, CUDALibraryOptions(isDeterministic: true)))
    #expect(try !isClaimed(Self.network, CUDALibraryOptions(scratchLimit: 0)))
  }

  /// What cuDNN refuses to carry out, whichever call it is, is left to other operations.
  @Test(arguments: [
    ("cudnnSetRNNDescriptor_v8", 3000), ("cudnnGetRNNWeightParams", 2000), ("cudnnRNNForward", 3000),
    ("cudnnRNNBackwardData_v8", 3000), ("cudnnRNNBackwardWeights_v8", 5000),
  ])
  func whatIsNotCarriedOut(call: String, code: Int) throws {
    let layer = try Layer(.lstm, directions: 1)
    let machine = try LibraryMachine()
    machine.stub.fail(call, nth: -1, code: code)
    #expect(!machine.claims(.recurrent(Self.network)))
    for (found, expected) in zip(
      try machine.run(layer.graph, layer.fetches, layer.feeds).results, try layer.expected())
    {
      expectClose(found, expected, relative: 1e-5, absolute: 1e-5)
    }
    #expect(machine.stub.report == [])
  }

  /// The fastest way is taken that is right: the stand-in's third rounds too much, and its second does one direction only.
  @Test(arguments: [1, 2]) func waysAreTimedAndKept(directions: Int) throws {
    let machine = try LibraryMachine()
    let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-choices-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    var network = Self.network
    network.directions = directions
    var calls: [Int] = []
    for _ in 0..<2 {
      let executions = CUDALibraryExecutions(machine.context, cache: .folder(folder))
      let execution = try #require(executions.execution(of: .recurrent(network)))
      let before = machine.stub.count("cudnnRNNForward")
      _ = (execution.scratchBytes, execution.scratchBytes)
      calls.append(machine.stub.count("cudnnRNNForward") - before)
    }
    // Two ways, four times each; with one way there is nothing to time.
    #expect(calls == (directions == 1 ? [8, 0] : [0, 0]))
    #expect(machine.stub.report == [])
  }

  /// A trial looks at every result.
  @Test(arguments: [RecurrentCell.lstm, .gru, .tanh, .relu], [1, 2])
  func trialsLookAtEveryResult(cell: RecurrentCell, directions: Int) throws {
    let machine = try LibraryMachine()
    for role in [RecurrentNetwork.Role.forward, .backward] {
      var network = Self.network
      (network.role, network.cell, network.directions) = (role, cell, directions)
      let execution = try #require(machine.executions.execution(of: .recurrent(network)))
      let trial = CUDARecurrentTrial(network)
      let first = network.slotPlaces.result
      try CUDATrial.run(machine.context, network.slotBytes + [execution.scratchBytes]) {
        (stream, slots) throws(CUDAFailure) in
        try trial.fill(on: stream, slots)
        try execution.enqueue(on: stream, slots)
        #expect(try trial.holds(on: stream, slots, tolerance: 1e-4))
        for slot in first..<network.slotBytes.count {
          try execution.enqueue(on: stream, slots)
          // The last number is another one.
          try stream.fill(slots[slot] + UInt64(network.slotBytes[slot] - 4), byte: 0x3F, byteCount: 4)
          #expect(try !trial.holds(on: stream, slots, tolerance: 1e-4), "slot \(slot)")
        }
      }
    }
    #expect(machine.stub.report == [])
  }

  @Test func constantWeightsAreLaidOutOnce() throws {
    let machine = try LibraryMachine()
    var network = Self.network
    network.role = .forward
    let execution = try #require(machine.executions.execution(of: .recurrent(network)))
    let stream = try CUDAStream(machine.context)
    let memory = try (network.slotBytes + [execution.scratchBytes]).map { size in
      let memory = try DeviceMemory(machine.context, byteCount: size)
      try stream.fill(memory.address, byte: 0x3C, byteCount: size)
      return memory
    }
    let addresses = memory.map(\.address)
    let fixed = Dictionary(uniqueKeysWithValues: [1, 2, 3].map { ($0, addresses[$0]) })
    let bound = try execution.binding(fixed, on: stream)
    #expect(bound.unreadOperands == [1, 2, 3])
    #expect(bound.scratchBytes < execution.scratchBytes)
    try stream.synchronize()
    for i in 1...3 { try stream.fill(addresses[i], byte: 0xFF, byteCount: network.slotBytes[i]) }
    let copies = machine.stub.count("cuMemcpyDtoDAsync_v2")
    try bound.enqueue(on: stream, addresses)
    #expect(machine.stub.count("cuMemcpyDtoDAsync_v2") == copies)
    let y = try PinnedMemory(machine.context, byteCount: network.slotBytes[6])
    try stream.copy(toHost: y.bytes, from: addresses[6], byteCount: y.byteCount)
    try stream.synchronize()
    #expect(y.floats(y.byteCount / 4).allSatisfy { $0.isFinite && $0 > 0 })
    #expect(machine.stub.report == [])
    withExtendedLifetime(memory) {}
  }

  /// Variables, whose weights are laid out in every run, and updates, in CUDA graphs.
  @Test func trainingInASession() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [3, 2, 5], name: "x")
    func variable(_ name: String, _ shape: [Int], seed: UInt64) -> (handle: Output, value: Tensor) {
      (graph.variableHandle(.float32, shape: Shape(shape), name: name), randomTensor(shape, seed: seed))
    }
    let variables = [
      variable("w", [1, 16, 5], seed: 1), variable("r", [1, 16, 4], seed: 2), variable("b", [1, 2, 16], seed: 3),
    ]
    let values = variables.map { readVariable($0.handle) }
    let y = lstm(x, weights: values[0], recurrentWeights: values[1], biases: values[2]).y
    let loss = sum(y * y)
    let found = try gradients(of: [loss], withRespectTo: values)
    let updates = try zip(variables, found).map { variable, gradient in
      assignSub(variable.handle, try #require(gradient) * 0.1)
    }
    try StubSession.check(
      graph, [loss], feeds: [x: randomTensor([3, 2, 5], seed: 9)], targets: updates, variables: variables, runs: 3)
  }

  @Test func failuresNameOperationAndCall() throws {
    let layer = try Layer(.gru, directions: 1)
    let call = "cudnnRNNBackwardData_v8"
    var options = SessionOptions()
    options.cuda.usesGraphs = false
    // What is fastest is known after the first session; the last call of the second is the run's.
    var count = 0
    for _ in 0..<2 {
      let stub = try StubSession(options: options)
      _ = try stub(layer.graph).run(layer.fetches, feeds: layer.feeds)
      count = stub.machine.stub.count(call)
    }
    let stub = try StubSession(options: options)
    stub.machine.stub.fail(call, nth: count, code: 5000)
    let error = try #require(throws: Diagnostic.self) {
      try stub(layer.graph).run(layer.fetches, feeds: layer.feeds)
    }
    #expect("\(error)".contains(call))
    #expect("\(error)".contains("_RecurrentLayerGrad"))
    stub.machine.expectClean()
  }
}
