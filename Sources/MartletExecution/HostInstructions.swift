import CMartletRuntime
import MartletScheduling

/// The instructions that the processor carries out in the plan of another device: host code, and what is placed there.
package final class HostInstructions: Sendable {
  private let backend: any HostBackend
  /// By the numbers that the plan gives to kernels, contracts and host calls.
  private let kernels: [Int: BoundCall]
  private let contracts: [Int: BoundCall]
  private let hosts: [BoundCall]

  /// - Throws: what the processor's back end cannot compile or its libraries cannot do.
  package init(_ plan: ExecutionPlan, backend: any HostBackend, report: inout BindingReport) throws {
    self.backend = backend
    hosts = try plan.hostCalls.map { try HostExecution($0).call }
    let onHost = plan.blocks.flatMap(\.instructions).filter(\.isOnHost).map(\.action)
    let kernelNumbers = Set(onHost.compactMap { if case .kernel(let number) = $0 { number } else { nil } }).sorted()
    let contractNumbers = Set(onHost.compactMap { if case .library(let number) = $0 { number } else { nil } }).sorted()
    let wanted = contractNumbers.map { plan.contracts[$0] }
    let bound =
      kernelNumbers.isEmpty && wanted.isEmpty
      ? []
      : try backend.bind(
        kernelNumbers.map { plan.kernels[$0] }, before: wanted, for: plan.use, report: &report)
    kernels = Dictionary(uniqueKeysWithValues: zip(kernelNumbers, bound))
    contracts = Dictionary(
      uniqueKeysWithValues: zip(contractNumbers, try wanted.map { try backend.bind($0, constants: [:]) }))
  }

  /// Carries out one instruction.
  ///
  /// - Parameters:
  ///   - slots: the addresses of its operands, results and scratch memory.
  ///   - origin: the node behind it.
  /// - Throws: a diagnostic that names the node.
  package func run(
    _ instruction: PlanInstruction, slots: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>, context: RunContext,
    origin: PlanOrigin
  ) throws {
    let call: BoundCall? =
      switch instruction.action {
      case .kernel(let number): kernels[number]
      case .library(let number): contracts[number]
      case .host(let number): hosts[number]
      case .copy, .join, .conditional, .loop: nil
      }
    guard let call else { preconditionFailure("'\(origin.name)' is no instruction of the host's") }
    var task = Work(call: call, state: context.state, slots: slots)
    withUnsafeMutablePointer(to: &task) { pointer in
      backend.run(
        isWide: instruction.isWide,
        { context in
          guard let task = context?.assumingMemoryBound(to: Work.self) else { return }
          task.pointee.isDone =
            task.pointee.call.function(task.pointee.state, UnsafePointer(task.pointee.slots), task.pointee.call.data)
            == 0
            && task.pointee.state.pointee.status.pointee.code == 0
        }, UnsafeMutableRawPointer(pointer))
    }
    if !task.isDone { throw context.error(at: origin) }
  }

  private struct Work {
    var call: BoundCall
    var state: UnsafeMutablePointer<RunState>
    var slots: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>
    var isDone = false
  }
}
