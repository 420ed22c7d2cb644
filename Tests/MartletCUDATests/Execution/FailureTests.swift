import Martlet
import MartletDiagnostics
import MartletExecution
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// Runs that go wrong: the message names what failed, nothing is lost, and the session goes on.
@Suite struct FailureTests {
  private struct Example {
    let graph = Graph()
    let fetches: [Output]
    let feeds: [Output: Tensor]

    /// - Parameter usingLibraries: with them, a call that fails while they are timed only leaves them untimed.
    init(usingLibraries: Bool) {
      let x = graph.placeholder(.float32, shape: [40, 30], name: "x")
      feeds = [x: randomTensor([40, 30], seed: 1)]
      guard usingLibraries else {
        let onHost = graph.withDevice("cpu") { tanh(x) }
        fetches = [sum(exp(x), axes: [0]), softmax(x), onHost + x]
        return
      }
      let images = reshape(x, [1, 20, 20, 3])
      fetches = [
        matMul(x, graph.constant(randomTensor([30, 20], seed: 2))),
        conv2D(images, graph.constant(randomTensor([3, 3, 3, 4], seed: 3)), padding: .same),
      ]
    }
  }

  /// A library that lacks memory to start is an error, and not a slow session.
  @Test(arguments: [("cudnnCreate", 4004), ("cublasLtCreate", 3)])
  func librariesWithoutMemory(call: String, code: Int) throws {
    let stub = try StubSession()
    stub.machine.stub.fail(call, code: code)
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let failure = #expect(throws: (any Error).self) {
      try stub(graph).run([exp(x)], feeds: [x: Tensor([1, 2] as [Float])])
    }
    #expect("\(failure as Any)".contains(call))
    #expect(try stub(graph).run([x + 1], feeds: [x: Tensor([1, 2] as [Float])])[0] == Tensor([2, 3] as [Float]))
    stub.machine.expectClean()
  }

  /// Plans are bound to what they were planned for: memory that is too small is found before a library writes behind it.
  @Test func planWithTooLittleScratchMemory() throws {
    let stub = try StubMachine()
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [1, 6, 6, 4], name: "x")
    let filter = graph.placeholder(.float32, shape: [3, 3, 4, 5], name: "filter")
    let y = conv2D(x, filter, padding: .same)
    var options = SessionOptions(device: .cuda(0))
    options.cudaLibraries = stub.libraries
    var plan = try Session(graph, options: options).plan(
      for: [y], feeds: [x: TensorType(.float32, [1, 6, 6, 4]), filter: TensorType(.float32, [3, 3, 4, 5])])
    let backend = try CUDABackend(ordinal: 0, processor: InterpreterBackend(), libraries: stub.libraries)
    _ = try backend.bind(plan)
    let scratch = try #require(plan.blocks[0].instructions.compactMap { $0.scratch.first }.first)
    plan.slots[scratch].byteCount = 64
    let failure = #expect(throws: Diagnostic.self) { try backend.bind(plan) }
    #expect(failure?.message.contains("scratch memory") == true)
  }

  @Test(arguments: [
    "cuMemAlloc_v2", "cuMemHostAlloc", "cuStreamCreate", "cuEventCreate", "cuModuleLoadData", "cuModuleGetFunction",
    "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2", "cuLaunchKernel", "cuEventRecord", "cuStreamWaitEvent",
    "cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphLaunch",
    "cuStreamSynchronize", "cublasLtMatmul", "cudnnConvolutionForward",
  ])
  func everyCall(call: String) throws {
    let isOfLibrary = call.hasPrefix("cublas") || call.hasPrefix("cudnn")
    let example = Example(usingLibraries: isOfLibrary)
    let expected = try Session(example.graph, options: SessionOptions(device: .interpreter))
      .run(example.fetches, feeds: example.feeds)
    // A recorded graph makes no calls of libraries.
    let stub = try StubSession(options: SessionOptions(cuda: CUDAOptions(usesGraphs: !isOfLibrary)))
    try { () throws in
      let session = try stub(example.graph)
      var failures = 0
      for nth in [1, 1, 2, 3, 1] {
        // 719: a fault in a kernel.
        stub.machine.stub.fail(call, nth: nth, code: 719)
        do {
          _ = try session.run(example.fetches, feeds: example.feeds)
        } catch {
          failures += 1
          #expect("\(error)".contains(call), "\(error)")
        }
        stub.machine.stub.fail(call, nth: 0, code: 0)
      }
      #expect(failures > 0)
      let found = try session.run(example.fetches, feeds: example.feeds)
      for (found, expected) in zip(found, expected) { expectClose(found, expected, relative: 1e-5, absolute: 1e-6) }
    }()
    #expect(stub.machine.stub.leaks == [])
  }

  @Test func outOfMemory() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [1000], name: "x")
    let large = matMul(reshape(x, [1000, 1]), reshape(x, [1, 1000]), name: "large")
    let y = sum(softmax(large) + transpose(large))
    let small = sum(x)
    let stub = try StubSession()
    stub.machine.stub.setDeviceBytes(1 << 20)
    let session = try stub(graph)
    let feeds = [x: randomTensor([1000], seed: 1)]
    let error = #expect(throws: Diagnostic.self) { try session.run([y], feeds: feeds) }
    let text = "\(error.map { "\($0)" } ?? "")"
    #expect(text.contains("cuda:0") && text.contains("large"), "\(text)")
    #expect(try session.run([small], feeds: feeds).count == 1)
  }

  @Test func badIndices() throws {
    let graph = Graph()
    let table = graph.constant(randomTensor([5, 3], seed: 1))
    let indices = graph.placeholder(.int32, shape: [4], name: "indices")
    let first = gather(table, indices, axis: 0, name: "first")
    let y = sum(exp(first))
    let stub = try StubSession()
    try { () throws in
      let session = try stub(graph)
      let error = #expect(throws: Diagnostic.self) {
        try session.run([y], feeds: [indices: Tensor([0, 1, 17, 2] as [Int32])])
      }
      #expect(error?.message == "index 17 is out of bounds")
      #expect(error?.operation?.contains("Gather") == true)
      #expect(error?.site != .unknown)
      #expect(try session.run([y], feeds: [indices: Tensor([0, 1, 4, 2] as [Int32])])[0].doubles()[0] > 0)
    }()
    stub.machine.expectClean()
  }

  @Test func failedRunsLeaveVariablesAsTheyWere() throws {
    let graph = Graph()
    let table = graph.variable("table", [5, 3], .zeros)
    let indices = graph.placeholder(.int32, shape: [4], name: "indices")
    let loss = sum(square(gather(table, indices, axis: 0) - 1))
    let train = GradientDescent(learningRate: 0.1).minimize(loss)
    let stub = try StubSession()
    let session = try stub(graph)
    try session.run(graph.initializer)
    try session.run([], feeds: [indices: Tensor([0, 1, 4, 2] as [Int32])], targets: [train])
    let before = try session.value(of: table)
    #expect(throws: Diagnostic.self) {
      try session.run([loss], feeds: [indices: Tensor([0, 1, 5, 2] as [Int32])], targets: [train])
    }
    #expect(try session.value(of: table) == before)
    #expect(before.doubles().contains { $0 != 0 })
  }

  @Test func noDriver() throws {
    var options = SessionOptions(device: .cuda(0))
    options.cudaLibraries = CUDALibraries(driver: nil, nvrtc: nil, cublasLt: nil, cudnn: nil)
    let error = #expect(throws: Diagnostic.self) { try Session(Graph(), options: options) }
    #expect("\(error.map { "\($0)" } ?? "")".contains("driver"))
    #expect(throws: Diagnostic.self) { try SessionOptions.Device("gpu") }
    #expect(try SessionOptions.Device("cuda:3") == .cuda(3))
  }
}
