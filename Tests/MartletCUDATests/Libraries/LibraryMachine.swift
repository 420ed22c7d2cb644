import Martlet
import MartletDiagnostics
import MartletExecution
import MartletGraph
import MartletPasses
import MartletScheduling
import MartletTensors
import MartletTestSupport
import Testing

@testable import MartletCUDA

/// Runs plans whose library calls go to the stand-in for a GPU, with copies around each; all else is interpreted.
final class LibraryMachine: HostBackend {
  let name = "libraries"
  let machine = TargetMachine()
  let workerCount = 1
  let stub: CUDAStub
  let context: CUDAContext
  let executions: CUDALibraryExecutions
  private let interpreter = InterpreterBackend()

  init(seed: UInt64 = 0, options: CUDALibraryOptions = CUDALibraryOptions()) throws {
    stub = try CUDAStub(seed: seed)
    context = try CUDAContext(
      ordinal: 0,
      libraries: CUDALibraries(driver: stub.path, nvrtc: stub.path, cublasLt: stub.path, cudnn: stub.path))
    executions = CUDALibraryExecutions(context, options: options)
  }

  /// The results, how many library calls and kernels the main block has, and the kernels' labels.
  func run(
    _ graph: Graph, _ fetches: [Output], _ feeds: [Output: Tensor]
  ) throws -> (results: [Tensor], calls: Int, kernels: Int, labels: [String]) {
    let extracted = try Session(graph, options: SessionOptions(device: .interpreter)).program(
      for: fetches, feeds: feeds.mapValues(\.type), until: .graph)
    let interpreter = interpreter
    let program = try Pipeline.standard(fusing: true, exact: executions.options.isExact).run(extracted, target: self) {
      program in
      var context = PassContext(target: interpreter)
      let fused = try FormKernels().run(program, &context)
      return try BoundPlan(try Planner.plan(fused, for: interpreter), backend: interpreter).run(
        [], variables: [], number: 0)
    }
    let plan = try Planner.plan(program, for: self)
    let calls = plan.blocks[0].instructions.count { if case .library = $0.action { true } else { false } }
    let kernels = plan.blocks[0].instructions.count { if case .kernel = $0.action { true } else { false } }
    let arguments = feeds.sorted { $0.key.id < $1.key.id }.map(\.value)
    return (
      try BoundPlan(plan, backend: self).run(arguments, variables: [], number: 0), calls, kernels,
      plan.kernels.map(\.label)
    )
  }

  // MARK: Back end

  func claims(_ contract: LibraryContract) -> Bool { executions.execution(of: contract) != nil }
  // Scratch memory is the device's.
  func scratchBytes(for contract: LibraryContract) -> Int { 0 }
  func isWide(_ contract: LibraryContract) -> Bool { false }

  func bind(
    _ kernels: [PlanKernel], before contracts: [LibraryContract], for use: ExecutionPlan.Use,
    report: inout BindingReport
  ) throws -> [BoundCall] { try interpreter.bind(kernels, before: contracts, for: use, report: &report) }

  func bind(_ contract: LibraryContract, constants: [Int: Constant]) throws -> BoundCall {
    let execution = try #require(executions.execution(of: contract))
    return try DeviceCall(execution, contract, constants.mapValues(\.tensor), context).call
  }

  func run(
    isWide: Bool, _ task: @convention(c) (UnsafeMutableRawPointer?) -> Void, _ context: UnsafeMutableRawPointer
  ) { task(context) }
}

/// A library call with its operands copied to the device, and its result back.
private final class DeviceCall: Sendable {
  private let execution: any CUDALibraryExecution
  private let sizes: [Int]
  private let operandCount: Int
  private let hasMask: Bool
  private let stream: CUDAStream

  init(
    _ execution: any CUDALibraryExecution, _ contract: LibraryContract, _ constants: [Int: Tensor],
    _ context: CUDAContext
  ) throws {
    let stream = try CUDAStream(context)
    self.stream = stream
    sizes = contract.slotBytes
    operandCount = sizes.count - contract.resultCount
    hasMask = if case .matrixProduct(let product) = contract { product.storesMask } else { false }
    var memory: [DeviceMemory] = []
    var addresses: [Int: UInt64] = [:]
    for (number, tensor) in constants {
      let piece = try DeviceMemory(context, byteCount: tensor.byteCount)
      try tensor.withUnsafeBytes { bytes in
        try stream.copy(to: piece.address, fromHost: bytes.baseAddress!, byteCount: bytes.count)
      }
      memory.append(piece)
      addresses[number] = piece.address
    }
    self.execution = try execution.binding(addresses, on: stream)
    try stream.synchronize()
    withExtendedLifetime(memory) {}
  }

  var call: BoundCall {
    BoundCall(
      { state, slots, data in
        do {
          try BoundCall.object(DeviceCall.self, at: data).run(slots)
          return 0
        } catch {
          RunState.at(state).pointee.fail(error)
          return 1
        }
      }, object: self)
  }

  private func run(_ slots: UnsafePointer<UnsafeMutablePointer<UInt8>?>) throws {
    var memory = try sizes.map { try DeviceMemory(stream.context, byteCount: $0) }
    let scratch = execution.scratchBytes
    var addresses = memory.map(\.address)
    if scratch > 0 {
      // In an arena scratch memory begins at any multiple of 64.
      memory.append(try DeviceMemory(stream.context, byteCount: 64 + scratch))
      addresses.append(memory[sizes.count].address + 64)
    }
    for number in 0..<operandCount {
      try stream.copy(to: memory[number].address, fromHost: slots[number]!, byteCount: sizes[number])
    }
    // The rows of a mask end with bits that nobody writes.
    if hasMask { try stream.fill(memory[sizes.count - 1].address, byte: 0, byteCount: sizes[sizes.count - 1]) }
    try execution.enqueue(on: stream, addresses)
    for result in operandCount..<sizes.count {
      try stream.copy(toHost: slots[result]!, from: memory[result].address, byteCount: sizes[result])
    }
    try stream.synchronize()
    withExtendedLifetime(memory) {}
  }
}

extension LibraryContract {
  /// How many of the slots are results, the last ones.
  var resultCount: Int {
    switch self {
    case .matrixProduct(let product): product.summedFactor != nil || product.storesForGradient ? 2 : 1
    case .recurrent(let r): r.role == .forward ? r.resultCounts.count : r.operandCounts.count
    case .batchNormalization(let n): n.resultCount
    default: 1
    }
  }

  /// The bytes of operands and results.
  var slotBytes: [Int] {
    let elementWidth = elementType.byteWidth
    func epilogue(_ epilogue: Epilogue, channels: Int, auxiliary: [Int] = [], result: Int) -> [Int] {
      (epilogue.hasBias ? [channels] : []) + (epilogue.hasResidual ? [result] : []) + auxiliary + [result]
    }
    // The sizes that gradients are given as int32.
    let extents = 16
    switch self {
    case .matrixProduct(let p):
      let width = p.elementType.byteWidth * p.batch
      let resultWidth = p.resultType.byteWidth
      let (mask, result) = (p.m * Epilogue.maskBytes(columns: p.n), p.m * p.n * p.batch * resultWidth)
      return [p.m * p.k * width, p.k * p.n * width]
        + epilogue(
          p.epilogue, channels: p.n * resultWidth,
          auxiliary: p.epilogue.hasMask ? [mask] : p.epilogue.hasGELUInput ? [result] : [], result: result)
        + (p.storesMask ? [mask] : p.storesGELUInput ? [result] : [])
        + (p.summedFactor.map { [($0 == .left ? p.m : p.n) * resultWidth] } ?? [])
    case .convolution(let c):
      let image = c.batch * c.inputHeight * c.inputWidth * c.inputChannels * elementWidth
      let result = c.batch * c.outputHeight * c.outputWidth * c.outputChannels * elementWidth
      let inputs = c.isDepthwise ? 1 : c.inputChannels
      let filter = c.kernelHeight * c.kernelWidth * inputs * c.outputChannels * elementWidth
      return switch c.role {
      case .forward:
        [image, filter]
          + epilogue(
            c.epilogue, channels: c.outputChannels * elementWidth, result: result)
      case .backwardData: [extents, filter, result, image]
      case .backwardFilter: [image, extents, result, filter]
      }
    case .pooling(let p):
      let image = p.batch * p.inputHeight * p.inputWidth * p.channels * elementWidth
      let result = p.batch * p.outputHeight * p.outputWidth * p.channels * elementWidth
      return switch (p.role, p.kind) {
      case (.forward, _): [image, result]
      case (.backward, .maximum): [image, result, result, image]
      case (.backward, .average): [extents, result, image]
      }
    case .recurrent(let r): return r.slotBytes
    case .batchNormalization(let n): return n.slotBytes
    case .attention, .attentionGradient: return []
    }
  }
}
