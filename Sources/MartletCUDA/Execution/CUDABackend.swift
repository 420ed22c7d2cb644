import MartletDiagnostics
import MartletExecution
import MartletGraph
import MartletLoopIR
import MartletScheduling
import MartletTensors
import Synchronization

/// A GPU of NVIDIA's: kernels generated as CUDA C and compiled by NVRTC, products by cuBLASLt, convolutions, pooling, batch
/// normalization and recurrent layers by cuDNN. What has code for the host only, and what is placed there, the processor does.
public final class CUDABackend: Backend {
  public let name = "cuda"
  public let context: CUDAContext
  /// Only the processor's schedules depend on it.
  public let machine: TargetMachine
  /// Launches are not shared by workers.
  public let workerCount = 1
  let processor: any HostBackend
  let options: CUDAOptions
  private let allowsUnorderedSums: Bool
  let loader: CUDAKernelLoader
  private let libraries: CUDALibraryExecutions
  private let constants = Mutex<[ObjectIdentifier: WeakConstant]>([:])
  private let plans = Mutex<[WeakPlan]>([])
  let transfers: CUDATransfers
  /// For fetches.
  let pinned: PinnedPool

  private struct WeakPlan { weak var plan: CUDAPlan? }
  private struct WeakConstant { weak var memory: CUDAConstant? }

  /// - Parameters:
  ///   - ordinal: which of the machine's GPUs.
  ///   - processor: runs what the GPU cannot.
  ///   - exact: whether library calls must compute what the operations would by themselves.
  ///   - deterministic: whether library calls are chosen without timing them, which may choose another one each time; and
  ///     sums have one order whatever `options` allow.
  /// - Throws: a diagnostic that says what is missing, or what the driver does not do.
  public init(
    ordinal: Int, processor: any HostBackend, options: CUDAOptions = CUDAOptions(), exact: Bool = false,
    deterministic: Bool = false, codeCache: CodeCache = .standard, libraries: CUDALibraries = .standard
  ) throws(Diagnostic) {
    context = try CUDAContext(ordinal: ordinal, libraries: libraries)
    self.processor = processor
    self.options = options
    allowsUnorderedSums = options.allowsUnorderedSums && !deterministic
    machine = processor.machine
    loader = try CUDAKernelLoader(context, cache: codeCache)
    pinned = PinnedPool(context)
    do throws(CUDAFailure) { transfers = try CUDATransfers(context) } catch { throw error.diagnostic() }
    self.libraries = CUDALibraryExecutions(
      context,
      options: CUDALibraryOptions(
        allowsTF32: options.allowsTensorFloat32, allowsBFloat16: options.allowsBFloat16Products,
        allowsAnyMaximum: options.allowsAnyMaximum, isExact: exact, isDeterministic: deterministic),
      cache: codeCache)
    // Without a library that is there all would be many times slower, for a reason that may be gone at the next try.
    if let fault = self.libraries.faults.first(where: \.failure.isOutOfMemory) {
      throw fault.failure.diagnostic(
        operation: "starting \(fault.library.title) on cuda:\(ordinal)",
        hint: "the GPU has no memory left for it: end what else uses the GPU, or work on smaller batches")
    }
  }

  public var host: (any Target)? { processor }
  public var deviceNumber: Int? { context.ordinal }

  public func compiling<Result>(_ body: () throws -> Result) throws -> Result { try processor.compiling(body) }

  public func code(for program: StageProgram, label: String) -> any KernelCode {
    CUDACode(CUDAKernel(program, for: context.device, isDeterministic: !allowsUnorderedSums))
  }

  public func code(
    for function: HostFunction, operands: [TensorType], results: [TensorType]
  ) throws(Diagnostic) -> (any KernelCode)? {
    guard let source = function.cuda else { return nil }
    func buffers(_ types: [TensorType]) -> [BufferType] {
      types.map { BufferType($0.elementType, $0.shape.known ?? []) }
    }
    return CUDACode(
      try CUDAKernel(source, inputs: buffers(operands), outputs: buffers(results), for: context.device))
  }

  public func bind(_ plan: ExecutionPlan) throws -> any RunnablePlan {
    let bound = try CUDAPlan(plan, backend: self)
    plans.withLock { plans in
      plans.removeAll { $0.plan == nil }
      plans.append(WeakPlan(plan: bound))
    }
    return bound
  }

  // MARK: Libraries

  /// The libraries that are missing or do not start, with what that means and what to do about it.
  public var missingLibraries: [String] {
    [CUDALibrary.cublasLt, .cudnn].filter { context.libraries.finding($0).path == nil }.map {
      "\($0.title) is missing, so that \($0.consequence); \($0.remedy)"
    } + libraries.faults.map(\.description)
  }

  public func claims(_ contract: LibraryContract) -> Bool { execution(of: contract) != nil }
  public func scratchBytes(for contract: LibraryContract) -> Int { execution(of: contract)?.scratchBytes ?? 0 }
  public func isWide(_ contract: LibraryContract) -> Bool { false }

  func execution(of contract: LibraryContract) -> (any CUDALibraryExecution)? {
    libraries.execution(of: contract)
  }

  // MARK: Memory

  /// Gives back the memory of all plans that nobody uses just now.
  func trim() {
    pinned.trim()
    for plan in plans.withLock({ $0.compactMap(\.plan) }) { plan.dropIdleInstances() }
  }

  /// A constant in device memory; plans share it.
  func constant(_ tensor: Tensor) throws -> CUDAConstant {
    let key = ObjectIdentifier(tensor.storage)
    if let known = constants.withLock({ $0[key]?.memory }), known.tensor == tensor { return known }
    let made = try CUDAConstant(tensor, transfers)
    constants.withLock { constants in
      constants = constants.filter { $0.value.memory != nil }
      constants[key] = WeakConstant(memory: made)
    }
    return made
  }
}

/// How a session uses a GPU.
public struct CUDAOptions: Sendable, Hashable {
  /// Whether products and convolutions of float32 may round their operands to TensorFloat-32, which has 10 bits of mantissa.
  public var allowsTensorFloat32: Bool
  /// Whether products of float32 may round their operands to bfloat16, which has 7 bits of mantissa.
  public var allowsBFloat16Products: Bool
  /// Whether the gradient of maximum pooling may go to any of the equal maxima of a window, as cuDNN's does, and not to the first.
  public var allowsAnyMaximum: Bool
  /// Whether floats that are scattered to computed positions, as in gradients of gathers, may be summed in whatever order threads
  /// come, so that the last bits differ from run to run. A deterministic session does not.
  public var allowsUnorderedSums: Bool
  /// Whether segments of plans are recorded once as CUDA graphs.
  public var usesGraphs: Bool

  public init(
    allowsTensorFloat32: Bool = false, allowsBFloat16Products: Bool = false, allowsAnyMaximum: Bool = false,
    allowsUnorderedSums: Bool = false, usesGraphs: Bool = true
  ) {
    (self.allowsTensorFloat32, self.allowsBFloat16Products) = (allowsTensorFloat32, allowsBFloat16Products)
    (self.allowsAnyMaximum, self.allowsUnorderedSums) = (allowsAnyMaximum, allowsUnorderedSums)
    self.usesGraphs = usesGraphs
  }
}

/// A constant in device memory.
final class CUDAConstant: Sendable {
  let tensor: Tensor
  private let memory: DeviceMemory
  var address: UInt64 { memory.address }

  init(_ tensor: Tensor, _ transfers: CUDATransfers) throws(CUDAFailure) {
    self.tensor = tensor
    memory = try DeviceMemory(transfers.stream.context, byteCount: tensor.byteCount)
    try transfers.copy(to: memory.address, from: tensor.storage.bytes, byteCount: tensor.byteCount)
  }
}
