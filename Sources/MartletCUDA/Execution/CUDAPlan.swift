import MartletDiagnostics
import MartletExecution
import MartletScheduling
import MartletTensors
import Synchronization

/// A plan on a GPU: kernels loaded, libraries' calls made, constants in device memory.
///
/// Each run takes an instance, which has device memory, streams and recorded graphs of its own.
final class CUDAPlan: RunnablePlan {
  let plan: ExecutionPlan
  let backend: CUDABackend
  let report: BindingReport
  let work: DevicePlan
  /// By the numbers that the plan gives them; nil for those of the host, and those that are only launched with others.
  let kernels: [LoadedKernel?]
  /// Kernels in one launch, by the device plan's numbers.
  let joinedKernels: [LoadedKernel]
  /// The library calls of instructions.
  let libraries: [DevicePlan.InstructionPlace: any CUDALibraryExecution]
  let hostInstructions: HostInstructions
  /// Those that the device reads, by number; not those of which library calls have a copy in another layout.
  let constants: [Int: CUDAConstant]
  /// All constants, each aligned, for the host.
  let hostConstants: [Tensor]
  private let idle = Mutex<[CUDAInstance]>([])

  init(_ plan: ExecutionPlan, backend: CUDABackend) throws {
    self.plan = plan
    self.backend = backend
    work = DevicePlanner.plan(plan, for: backend.context.device)
    var report = BindingReport()
    let start = ContinuousClock.now
    let single = work.singleKernels
    let codes = plan.kernels.map { ($0.code as? CUDACode)?.kernel }
    let alone = codes.indices.map { single.contains($0) ? codes[$0] : nil }
    let joined = work.joined.map { CUDAKernel(joining: $0.compactMap { codes[$0] }, for: backend.context.device) }
    var loaded = try backend.loader.load(alone.compactMap { $0 } + joined, report: &report)[...]
    kernels = alone.map { $0 == nil ? nil : loaded.removeFirst() }
    joinedKernels = Array(loaded)
    report.codeSeconds = (ContinuousClock.now - start) / .seconds(1)
    hostInstructions = try HostInstructions(plan, backend: backend.processor, report: &report)
    hostConstants = plan.constants.map(\.tensor.aligned)
    var constants: [Int: CUDAConstant] = [:]
    do {
      for number in work.constants { constants[number] = try backend.constant(plan.constants[number].tensor) }
    } catch let failure as CUDAFailure where failure.isOutOfMemory {
      throw MemoryUse(plan).shortage(
        "the constants do not fit into the memory of cuda:\(backend.context.ordinal)",
        limit: backend.context.memoryBytes, hint: "use a smaller model")
    }
    do {
      libraries = try Self.libraries(plan, backend, constants)
    } catch let failure as CUDAFailure {
      throw failure.diagnostic(operation: "preparing the libraries of cuda:\(backend.context.ordinal)")
    }
    let read = work.constants(without: { [libraries] in libraries[$0]?.unreadOperands ?? [] })
    self.constants = constants.filter { read.contains($0.key) }
    report.librarySeconds = (ContinuousClock.now - start) / .seconds(1) - report.codeSeconds
    self.report = report
  }

  /// The device's library calls, with operands that are constants laid out as the libraries like them.
  private static func libraries(
    _ plan: ExecutionPlan, _ backend: CUDABackend, _ constants: [Int: CUDAConstant]
  ) throws -> [DevicePlan.InstructionPlace: any CUDALibraryExecution] {
    var found: [DevicePlan.InstructionPlace: any CUDALibraryExecution] = [:]
    for (number, block) in plan.blocks.enumerated() {
      for (index, instruction) in block.instructions.enumerated() where !instruction.isOnHost {
        guard case .library(let contract) = instruction.action,
          let execution = backend.execution(of: plan.contracts[contract])
        else { continue }
        let scratchBytes = instruction.scratch.first.map { plan.slots[$0].byteCount } ?? 0
        guard execution.scratchBytes <= scratchBytes else {
          throw plan.origins[instruction.origin].diagnostic(
            "a library call needs more scratch memory than the plan has for it",
            found: "\(execution.scratchBytes) bytes, and \(scratchBytes) in the plan",
            hint: "bind plans to the back end that they were made for")
        }
        var fixed: [Int: UInt64] = [:]
        for (i, operand) in instruction.operands.enumerated() {
          let slot = plan.slots[operand]
          if case .constant(let constant) = slot.place, slot.whole == nil { fixed[i] = constants[constant]?.address }
        }
        found[.init(block: number, index: index)] = try execution.binding(fixed, on: backend.transfers.stream)
      }
    }
    try backend.transfers.stream.synchronize()
    return found
  }

  /// Frees the memory of instances that nobody uses.
  func dropIdleInstances() { idle.withLock { $0.removeAll() } }

  func run(
    _ arguments: [Tensor], variables: [StoredVariable], number: Int, trace: RunTrace?
  ) throws -> [Tensor] {
    precondition(arguments.count == plan.arguments.count && variables.count == plan.variables.count)
    plan.lock(variables)
    defer { for variable in variables { variable.release() } }
    try plan.checkValues(of: variables)
    do {
      let addresses = try variables.map { try address(of: $0) }
      let instance = try idle.withLock { $0.popLast() } ?? makeInstance()
      // Nothing that a run has begun goes on behind its end. An instance with which that went wrong is not used again.
      defer { if instance.drain() { idle.withLock { $0.append(instance) } } }
      let results = try instance.run(arguments, variables: addresses, number: number, trace: trace)
      for (variable, binding) in zip(variables, plan.variables) where binding.result != nil {
        variable.markAssigned(onDevice: true)
      }
      return results
    } catch let failure as CUDAFailure {
      throw failure.diagnostic(
        operation: "a run on cuda:\(backend.context.ordinal)",
        hint: "with MARTLET_CUDA_SYNCHRONOUS=1 each step is waited for, and the message names the one that failed")
    }
  }

  private func address(of variable: StoredVariable) throws -> UInt64 {
    try variable.deviceMemory {
      let count =
        Tensor.checkedByteCount(
          elementType: variable.type.elementType, shape: variable.type.shape.known ?? []) ?? 0
      return try withTrimming { try CUDAVariable(byteCount: count, transfers: backend.transfers) }
    }.address
  }

  private func makeInstance() throws -> CUDAInstance { try withTrimming { try CUDAInstance(self) } }

  /// Does something that takes device memory; if there is none left, again after idle plans have given theirs back.
  ///
  /// - Throws: a diagnostic that lists the largest values if that does not help.
  private func withTrimming<Result>(_ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch let failure as CUDAFailure where failure.isOutOfMemory {
      backend.trim()
    }
    do {
      return try body()
    } catch let failure as CUDAFailure where failure.isOutOfMemory {
      let free = (try? backend.context.freeBytes()) ?? 0
      throw MemoryUse(plan).shortage(
        "a run needs more memory than cuda:\(backend.context.ordinal) has left", limit: free,
        hint: "work on smaller batches, or set a memory budget")
    }
  }
}
