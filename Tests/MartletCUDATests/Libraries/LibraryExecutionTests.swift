import MartletGraph
import MartletTensors
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// How library calls behave towards a run: what is prepared when, and what failures say.
struct LibraryExecutionTests {
  static let convolution: Convolution = {
    var convolution = Convolution(
      role: .forward, elementType: .float32, isChannelsFirst: false, batch: 1, input: (4, 4, 2), output: (4, 4, 3),
      kernel: (3, 3), groups: 1, isDepthwise: false, strides: (1, 1), dilations: (1, 1), padding: (1, 1, 1, 1))
    convolution.epilogue = Epilogue(hasBias: true, hasResidual: true, activation: .relu(slope: 0))
    return convolution
  }()

  static let product: MatrixProduct = {
    var product = MatrixProduct(
      elementType: .float32, m: 200, n: 160, k: 160, transposeA: false, transposeB: false)
    product.epilogue = Epilogue(hasBias: true)
    return product
  }()

  /// Device memory for all slots of a contract, filled with small numbers.
  private func slots(
    _ contract: LibraryContract, _ execution: any CUDALibraryExecution, _ stream: CUDAStream, scratchBytes: Int? = nil
  ) throws -> [DeviceMemory] {
    let scratchBytes = scratchBytes ?? execution.scratchBytes
    let sizes = contract.slotBytes + (scratchBytes > 0 ? [scratchBytes] : [])
    return try sizes.map { size in
      let memory = try DeviceMemory(stream.context, byteCount: size)
      try stream.fill(memory.address, byte: 0x3C, byteCount: size)
      return memory
    }
  }

  private func result(_ contract: LibraryContract, _ memory: [DeviceMemory], _ stream: CUDAStream) throws -> [Float] {
    let sizes = contract.slotBytes
    let pinned = try PinnedMemory(stream.context, byteCount: sizes[sizes.count - 1])
    try stream.copy(toHost: pinned.bytes, from: memory[sizes.count - 1].address, byteCount: pinned.byteCount)
    try stream.synchronize()
    return pinned.floats(pinned.byteCount / 4)
  }

  @Test(arguments: [LibraryContract.convolution(convolution), .matrixProduct(product)])
  func callsAreCaptured(contract: LibraryContract) throws {
    let machine = try LibraryMachine()
    let execution = try #require(machine.executions.execution(of: contract))
    let stream = try CUDAStream(machine.context)
    let memory = try slots(contract, execution, stream)
    try execution.enqueue(on: stream, memory.map(\.address))
    let plain = try result(contract, memory, stream)
    // A bias that changes between replays, at the same address.
    try stream.beginCapture()
    try execution.enqueue(on: stream, memory.map(\.address))
    let graph = try stream.endCapture()
    try stream.fill(memory[2].address, byte: 0, byteCount: contract.slotBytes[2])
    try graph.launch(on: stream)
    let bias = Float(bitPattern: 0x3C3C_3C3C)
    for (a, b) in zip(try result(contract, memory, stream), plain) { #expect(abs(a + bias - b) < 1e-5) }
    #expect(machine.stub.report == [])
  }

  /// What passes only ask about is not timed.
  @Test func waysAreTimedOnce() throws {
    let machine = try LibraryMachine()
    let execution = try #require(machine.executions.execution(of: .matrixProduct(Self.product)))
    #expect(machine.stub.count("cublasLtMatmul") == 1)
    _ = execution.scratchBytes
    let count = machine.stub.count("cublasLtMatmul")
    #expect(count > 1)
    _ = machine.executions.execution(of: .matrixProduct(Self.product))?.scratchBytes
    #expect(machine.stub.count("cublasLtMatmul") == count)
    let convolution = try #require(machine.executions.execution(of: .convolution(Self.convolution)))
    #expect(machine.stub.count("cudnnFindConvolutionForwardAlgorithmEx") == 0)
    _ = (convolution.scratchBytes, convolution.scratchBytes)
    // With channels last, and with channels first.
    #expect(machine.stub.count("cudnnFindConvolutionForwardAlgorithmEx") == 2)
    #expect(machine.stub.report == [])
  }

  @Test func withoutMemoryNothingIsTimed() throws {
    let machine = try LibraryMachine()
    let stream = try CUDAStream(machine.context)
    let contract = LibraryContract.convolution(Self.convolution)
    let execution = try #require(machine.executions.execution(of: contract))
    machine.stub.setDeviceBytes(1 << 16)
    let memory = try slots(contract, execution, stream)
    try execution.enqueue(on: stream, memory.map(\.address))
    #expect(try result(contract, memory, stream).allSatisfy { $0 > 0 })
    #expect(machine.stub.count("cudnnFindConvolutionForwardAlgorithmEx") == 0)
    #expect(machine.stub.report == [])
  }

  @Test func constantFiltersAreLaidOutOnce() throws {
    let machine = try LibraryMachine()
    let stream = try CUDAStream(machine.context)
    let contract = LibraryContract.convolution(Self.convolution)
    let execution = try #require(machine.executions.execution(of: contract))
    let memory = try slots(contract, execution, stream)
    defer { withExtendedLifetime(memory) {} }
    let count = machine.stub.count("cublasLtMatrixTransform")
    let bound = try execution.binding([1: memory[1].address], on: stream)
    #expect(machine.stub.count("cublasLtMatrixTransform") == count + 1)
    try bound.enqueue(on: stream, memory.map(\.address))
    try bound.enqueue(on: stream, memory.map(\.address))
    #expect(machine.stub.count("cublasLtMatrixTransform") == count + 1)
    try stream.synchronize()
  }

  /// Where cuDNN does not do an epilogue in one call, the same is done in several; the residual may lie where the result will.
  @Test(arguments: [false, true])
  func epiloguesThatAreNotSupported(isInPlace: Bool) throws {
    func run(failing: Bool) throws -> [Float] {
      let machine = try LibraryMachine()
      let stream = try CUDAStream(machine.context)
      let contract = LibraryContract.convolution(Self.convolution)
      let execution = try #require(machine.executions.execution(of: contract))
      let memory = try slots(contract, execution, stream)
      if failing { machine.stub.fail("cudnnConvolutionBiasActivationForward", code: 3000) }
      var addresses = memory.map(\.address)
      if isInPlace { addresses[3] = addresses[4] }
      try execution.enqueue(on: stream, addresses)
      let values = try result(contract, memory, stream)
      #expect(machine.stub.report == [])
      #expect(machine.stub.count("cudnnActivationForward") == (failing ? 1 : 0))
      return values
    }
    for (a, b) in zip(try run(failing: true), try run(failing: false)) { #expect(abs(a - b) < 1e-6) }
  }

  @Test(arguments: [
    ("cublasLtMatmul", "CUBLAS_STATUS_EXECUTION_FAILED", 13),
    ("cublasLtMatrixTransform", "CUBLAS_STATUS_NOT_SUPPORTED", 15),
    ("cudnnConvolutionBiasActivationForward", "CUDNN_STATUS_EXECUTION_FAILED", 5000),
    ("cudnnSetStream", "CUDNN_STATUS_BAD_PARAM", 2000),
  ])
  func failuresNameTheCall(call: String, name: String, code: Int) throws {
    let machine = try LibraryMachine()
    let stream = try CUDAStream(machine.context)
    let failure = try #require(throws: CUDAFailure.self) {
      for contract in [LibraryContract.matrixProduct(Self.product), .convolution(Self.convolution)] {
        let execution = try #require(machine.executions.execution(of: contract))
        let memory = try slots(contract, execution, stream)
        defer { withExtendedLifetime(memory) {} }
        defer { withExtendedLifetime(memory) { try? stream.synchronize() } }
        machine.stub.fail(call, code: code)
        try execution.enqueue(on: stream, memory.map(\.address))
      }
    }
    #expect((failure.call, failure.name, failure.code) == (call, name, code))
    #expect(machine.stub.report == [])
  }

  // MARK: Ways

  private static let plain: Convolution = {
    var plain = convolution
    plain.epilogue = Epilogue()
    return plain
  }()

  private static func gradient(_ role: Convolution.Role) -> Convolution {
    var gradient = plain
    gradient.role = role
    return gradient
  }

  private static let pooling = Pooling(
    role: .forward, kind: .average, elementType: .float32, isChannelsFirst: false, batch: 1, channels: 2,
    input: (4, 4), output: (2, 2), kernel: (2, 2), strides: (2, 2), padding: (0, 0, 0, 0))

  /// TF32 keeps the exponents of f32; ways that convert to f16 are not taken, which the stand-in would report.
  @Test(arguments: [true, false])
  func nothingIsRoundedToHalf(isMeasured: Bool) throws {
    let machine = try LibraryMachine(options: CUDALibraryOptions(allowsTF32: true, measures: isMeasured))
    let stream = try CUDAStream(machine.context)
    for contract in [LibraryContract.convolution(Self.convolution), .convolution(Self.plain)] {
      let execution = try #require(machine.executions.execution(of: contract))
      let memory = try slots(contract, execution, stream)
      try execution.enqueue(on: stream, memory.map(\.address))
      #expect(try result(contract, memory, stream).allSatisfy { $0 > 0 })
    }
    #expect(machine.stub.report == [])
  }

  /// What a library lists it may still not carry out: then the next way is tried, and without any nothing is claimed.
  @Test(arguments: [
    (LibraryContract.convolution(plain), "cudnnConvolutionForward", 3000),
    (.convolution(gradient(.backwardData)), "cudnnConvolutionBackwardData", 3000),
    (.convolution(gradient(.backwardFilter)), "cudnnConvolutionBackwardFilter", 5000),
  ])
  func waysThatAreNotCarriedOut(contract: LibraryContract, call: String, code: Int) throws {
    func run(failing: Bool) throws -> [Float] {
      let machine = try LibraryMachine(options: CUDALibraryOptions(measures: false))
      let stream = try CUDAStream(machine.context)
      if failing { machine.stub.fail(call, code: code) }
      let execution = try #require(machine.executions.execution(of: contract))
      #expect(machine.stub.count(call) == (failing ? 2 : 1))
      let memory = try slots(contract, execution, stream)
      try execution.enqueue(on: stream, memory.map(\.address))
      #expect(machine.stub.report == [])
      return try result(contract, memory, stream)
    }
    for (a, b) in zip(try run(failing: true), try run(failing: false)) { #expect(abs(a - b) < 1e-6) }
    let machine = try LibraryMachine()
    machine.stub.fail(call, nth: -1, code: code)
    #expect(machine.executions.execution(of: contract) == nil)
    #expect(machine.stub.report == [])
  }

  @Test func poolingThatIsNotCarriedOut() throws {
    let machine = try LibraryMachine()
    machine.stub.fail("cudnnPoolingForward", code: 3000)
    #expect(machine.executions.execution(of: .pooling(Self.pooling)) == nil)
    #expect(try LibraryMachine().executions.execution(of: .pooling(Self.pooling)) != nil)
  }

  /// Refusals that come in a run only; the scratch memory that was planned must do.
  @Test(arguments: [
    (LibraryContract.convolution(plain), "cudnnConvolutionForward", 3000),
    (.matrixProduct(product), "cublasLtMatmul", 15),
  ])
  func waysThatAreRefusedInARun(contract: LibraryContract, call: String, code: Int) throws {
    let machine = try LibraryMachine()
    let stream = try CUDAStream(machine.context)
    let execution = try #require(machine.executions.execution(of: contract))
    let memory = try slots(contract, execution, stream)
    try execution.enqueue(on: stream, memory.map(\.address))
    let expected = try result(contract, memory, stream)
    machine.stub.fail(call, code: code)
    try execution.enqueue(on: stream, memory.map(\.address))
    for (a, b) in zip(try result(contract, memory, stream), expected) { #expect(abs(a - b) < 1e-6) }
    #expect(machine.stub.report == [])
  }

  /// Where nothing was timed before, a capture is not the place to do it.
  @Test(arguments: [LibraryContract.convolution(convolution), .matrixProduct(product)])
  func nothingIsTimedInCaptures(contract: LibraryContract) throws {
    let machine = try LibraryMachine()
    let stream = try CUDAStream(machine.context)
    let execution = try #require(machine.executions.execution(of: contract))
    let memory = try slots(contract, execution, stream, scratchBytes: 1 << 20)
    try stream.beginCapture()
    try execution.enqueue(on: stream, memory.map(\.address))
    try stream.endCapture().launch(on: stream)
    #expect(try result(contract, memory, stream).allSatisfy { $0 > 0 })
    #expect(machine.stub.report == [])
  }

  /// cuDNN's handle does not stay on a stream that it was lent, which may be gone at its next use.
  @Test func lentStreamsAreGivenBack() throws {
    let stub: CUDAStub
    do {
      let machine = try LibraryMachine()
      stub = machine.stub
      let contract = LibraryContract.convolution(Self.convolution)
      let execution = try #require(machine.executions.execution(of: contract))
      do {
        let stream = try CUDAStream(machine.context)
        let memory = try slots(contract, execution, stream)
        defer { withExtendedLifetime(memory) {} }
        try execution.enqueue(on: stream, memory.map(\.address))
        try stream.synchronize()
      }
      #expect(machine.executions.execution(of: .convolution(Self.plain)) != nil)
    }
    #expect(stub.report == [])
    #expect(stub.leaks == [])
  }

  /// cuDNN counts elements in 32 bits.
  @Test(arguments: [1 << 28, 1 << 32])
  func moreElementsThanFitAreNotClaimed(batch: Int) throws {
    let machine = try LibraryMachine()
    var (convolution, pooling) = (Self.plain, Self.pooling)
    (convolution.batch, pooling.batch) = (batch, batch)
    #expect(machine.executions.execution(of: .convolution(convolution)) == nil)
    #expect(machine.executions.execution(of: .pooling(pooling)) == nil)
    #expect(machine.stub.count("cudnnGetConvolutionForwardAlgorithm_v7") == 0)
  }

  /// A library that is there and does not start is told of, and nothing is claimed for it.
  @Test func librariesThatDoNotStart() throws {
    let machine = try LibraryMachine()
    machine.stub.fail("cudnnCreate", code: 1008)
    let executions = CUDALibraryExecutions(machine.context)
    let fault = try #require(executions.faults.first)
    #expect((executions.faults.count, fault.library, fault.failure.code) == (1, .cudnn, 1008))
    #expect("\(fault)".contains("cuDNN does not start") && "\(fault)".contains("SUBLIBRARY_LOADING_FAILED"))
    #expect(executions.execution(of: .convolution(Self.plain)) == nil)
    #expect(executions.execution(of: .matrixProduct(Self.product)) != nil)
    machine.stub.fail("cublasLtCreate", code: 1)
    #expect(machine.context.libraryFaults.map(\.library) == [.cublasLt])
    #expect(machine.executions.faults.isEmpty)
  }

  @Test(arguments: [(4004, true), (4000, false)])
  func memoryThatCuDNNLacks(code: Int, isOutOfMemory: Bool) throws {
    let machine = try LibraryMachine()
    let stream = try CUDAStream(machine.context)
    let contract = LibraryContract.convolution(Self.plain)
    let execution = try #require(machine.executions.execution(of: contract))
    let memory = try slots(contract, execution, stream)
    defer { withExtendedLifetime(memory) {} }
    machine.stub.fail("cudnnConvolutionForward", code: code)
    let failure = #expect(throws: CUDAFailure.self) { try execution.enqueue(on: stream, memory.map(\.address)) }
    #expect(failure?.isOutOfMemory == isOutOfMemory)
    try stream.synchronize()
  }

  /// That the stand-in's libraries find what is there to find.
  @Test func misuseOfLibraries() throws {
    let machine = try LibraryMachine()
    let stream = try CUDAStream(machine.context)
    let contract = LibraryContract.matrixProduct(Self.product)
    let execution = try #require(machine.executions.execution(of: contract))
    let memory = try slots(contract, execution, stream)
    defer { withExtendedLifetime(memory) {} }
    try stream.synchronize()
    let right = memory.map(\.address)
    // The library is asked for the transposed product: its first factor is the contract's second.
    let cases: [(Int, UInt64, String)] = [
      (0, right[0] + 64, "b goes 64 bytes beyond the end"), (1, right[1] + 4, "a goes 4 bytes beyond the end"),
      (2, right[2] + 8, "the bias or the workspace goes 8 bytes beyond the end"),
      (3, right[0], "the result overlaps an operand"), (3, 64, "d is no device memory: 0x40"),
    ]
    for (slot, address, line) in cases {
      var wrong = right
      wrong[slot] = address
      #expect(throws: CUDAFailure.self) { try execution.enqueue(on: stream, wrong) }
      let last = try #require(machine.stub.report.last)
      #expect(last.hasPrefix("cublasLtMatmul: ") && last.contains(line), "\(last)")
    }
  }

  /// A product is tried before it is claimed, with one way after the other.
  @Test(arguments: [Epilogue.Activation.relu(slope: 0), .geluByTanh])
  func productsThatAreNotCarriedOut(activation: Epilogue.Activation) throws {
    var product = Self.product
    product.epilogue.activation = activation
    let machine = try LibraryMachine()
    machine.stub.fail("cublasLtMatmul", code: 15)
    #expect(machine.executions.execution(of: .matrixProduct(product)) != nil)
    #expect(machine.stub.count("cublasLtMatmul") == 2)
    let other = CUDALibraryExecutions(machine.context)
    machine.stub.fail("cublasLtMatmul", nth: -1, code: 15)
    #expect(other.execution(of: .matrixProduct(product)) == nil)
    #expect(machine.stub.report == [])
  }

  /// Without tensor cores the stand-in is slow with channels last, and images are transposed; else they stay as they are.
  @Test(arguments: [true, false])
  func imagesAreTransposedWhereThatIsFaster(usesTensorCores: Bool) throws {
    var convolution = Self.convolution
    (convolution.inputChannels, convolution.batch) = (16, 2)
    let machine = try LibraryMachine(options: CUDALibraryOptions(allowsTF32: usesTensorCores))
    let stream = try CUDAStream(machine.context)
    let execution = try #require(machine.executions.execution(of: .convolution(convolution)))
    let memory = try slots(.convolution(convolution), execution, stream)
    defer { withExtendedLifetime(memory) {} }
    let count = machine.stub.count("cublasLtMatrixTransform")
    try execution.enqueue(on: stream, memory.map(\.address))
    // The filter in one or two steps, the image, the residual and the result.
    #expect(machine.stub.count("cublasLtMatrixTransform") - count == (usesTensorCores ? 1 : 5))
    #expect(try result(.convolution(convolution), memory, stream).allSatisfy { $0 > 0 })
    // A constant filter is laid out once for all runs.
    let bound = try execution.binding([1: memory[1].address], on: stream)
    #expect(bound.unreadOperands == [1])
    let packed = machine.stub.count("cublasLtMatrixTransform")
    try bound.enqueue(on: stream, memory.map(\.address))
    #expect(machine.stub.count("cublasLtMatrixTransform") - packed == (usesTensorCores ? 0 : 3))
    try stream.synchronize()
    #expect(machine.stub.report == [])
  }

  /// Maxima may be reached more than once, GELU is not its approximation by a tangent, and not every tangent is exact.
  @Test func whatLibrariesDoNotPromiseIsNotClaimed() throws {
    let machine = try LibraryMachine()
    let exact = CUDALibraryExecutions(machine.context, options: CUDALibraryOptions(isExact: true))
    var product = Self.product
    product.epilogue.activation = .gelu
    #expect(machine.executions.execution(of: .matrixProduct(product)) == nil)
    product.epilogue.activation = .geluByTanh
    #expect(machine.executions.execution(of: .matrixProduct(product)) != nil)
    #expect(exact.execution(of: .matrixProduct(product)) == nil)
    var unbiased = product
    unbiased.epilogue.hasBias = false
    #expect(machine.executions.execution(of: .matrixProduct(unbiased)) == nil)
    var convolution = Self.convolution
    convolution.epilogue.activation = .geluByTanh
    #expect(machine.executions.execution(of: .convolution(convolution)) == nil)
    product.epilogue.activation = .relu(slope: 0)
    #expect(machine.executions.execution(of: .matrixProduct(product)) != nil)
    // A ReLU may hide NaN.
    #expect(exact.execution(of: .matrixProduct(product)) == nil)
    product.epilogue.activation = .relu(slope: 0.1)
    #expect(machine.executions.execution(of: .matrixProduct(product)) == nil)
    let pooling = Pooling(
      role: .backward, kind: .maximum, elementType: .float32, isChannelsFirst: false, batch: 1, channels: 2,
      input: (4, 4), output: (2, 2), kernel: (2, 2), strides: (2, 2), padding: (0, 0, 0, 0))
    #expect(machine.executions.execution(of: .pooling(pooling)) == nil)
  }
}
