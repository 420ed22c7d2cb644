import CMartletRuntime
import MartletExecution
import MartletLoopIR
import Synchronization

/// A compiled kernel and how its iterations are dealt to the team.
///
/// Code that was generated with little effort, or for several shapes at once, counts its calls, and is replaced in the background when they are many. A call
/// that is going on then ends with the code that it has begun with, so old code stays as long as this object.
final class KernelExecution: @unchecked Sendable {
  /// What a call needs, without references that are counted.
  private struct Launch: ~Copyable {
    let phases: Atomic<UnsafeMutablePointer<Phase>>
    let phaseCount: Int
    /// The place of the workers' scratch memory among the slots; none if negative.
    let scratchSlot: Int
    let scratchBytes: Int64
    /// What code for several shapes is told beside the run's parameters.
    let numbers: UnsafePointer<Int64>?
    let numberCount: Int
    /// The calls until better code is asked for.
    let remaining: Atomic<Int>
    let execution: Unmanaged<KernelExecution>

    func run(_ state: UnsafeMutablePointer<RunState>, _ slots: UnsafePointer<UnsafeMutablePointer<UInt8>?>) {
      guard let numbers else { return run(state, UnsafePointer(state.pointee.parameters), slots) }
      let own = ParametricNest.firstParameter
      withUnsafeTemporaryAllocation(of: Int64.self, capacity: own + numberCount) { parameters in
        guard let first = parameters.baseAddress else { return }
        first.initialize(repeating: 0, count: own)
        first.update(from: state.pointee.parameters, count: RunState.parameterCount)
        (first + own).initialize(from: numbers, count: numberCount)
        run(state, UnsafePointer(first), slots)
      }
    }

    private func run(
      _ state: UnsafeMutablePointer<RunState>, _ parameters: UnsafePointer<Int64>,
      _ slots: UnsafePointer<UnsafeMutablePointer<UInt8>?>
    ) {
      let scratch = scratchSlot < 0 ? nil : slots[scratchSlot]
      let phases = phases.load(ordering: .acquiring)
      for number in 0..<phaseCount {
        let phase = phases + number
        martlet_team_kernel(
          phase.pointee.function, parameters, slots, state.pointee.status, scratch, scratchBytes,
          phase.pointee.extent, phase.pointee.grain)
      }
    }

    func count() {
      if remaining.load(ordering: .relaxed) > 0, remaining.subtract(1, ordering: .relaxed).newValue == 0 {
        execution._withUnsafeGuaranteedRef { $0.refine() }
      }
    }
  }
  private struct Phase {
    var function: martlet_kernel
    var extent: Int64
    var grain: Int64
  }

  /// Has better code made, which it hands to its argument.
  typealias Refine = @Sendable (_ install: @escaping @Sendable (CompiledKernel) -> Void) -> Void

  private struct Code: @unchecked Sendable {
    /// Keeps the code loaded.
    var kernel: CompiledKernel
    var phases: UnsafeMutablePointer<Phase>
  }

  private let launch: UnsafeMutablePointer<Launch>
  private let numbers: UnsafeMutablePointer<Int64>
  /// Oldest first.
  private let code: Mutex<[Code]>
  private let workers: Int
  /// Whether there may be better code.
  private let isProvisional: Bool
  private let better: Refine

  /// - Parameters:
  ///   - workers: how many workers have scratch memory; no more take part, whatever the team's size.
  ///   - calls: after how many calls better code is asked for, if there may be such.
  init(
    _ nest: Nest, _ kernel: CompiledKernel, workers: Int, refinedAfter calls: Int, by better: @escaping Refine
  ) {
    self.workers = workers
    self.better = better
    isProvisional = kernel.isQuick || !kernel.parameters.isEmpty
    precondition(RunState.parameterCount <= ParametricNest.firstParameter)
    let phases = Self.phases(of: kernel, workers)
    code = Mutex([Code(kernel: kernel, phases: phases)])
    let numbers = UnsafeMutablePointer<Int64>.allocate(capacity: max(kernel.parameters.count, 1))
    numbers.initialize(from: kernel.parameters, count: kernel.parameters.count)
    self.numbers = numbers
    launch = .allocate(capacity: 1)
    launch.initialize(
      to: Launch(
        phases: Atomic(phases), phaseCount: kernel.phases.count,
        scratchSlot: nest.scratchBytes > 0 ? nest.argumentCount + nest.temporaries.count : -1,
        scratchBytes: Int64(nest.scratchBytes), numbers: kernel.parameters.isEmpty ? nil : UnsafePointer(numbers),
        numberCount: kernel.parameters.count, remaining: Atomic(max(calls, 1)),
        execution: Unmanaged.passUnretained(self)))
  }

  deinit {
    code.withLock { for code in $0 { code.phases.deallocate() } }
    launch.deinitialize(count: 1)
    launch.deallocate()
    numbers.deallocate()
  }

  private static func phases(of kernel: CompiledKernel, _ workers: Int) -> UnsafeMutablePointer<Phase> {
    let phases = UnsafeMutablePointer<Phase>.allocate(capacity: max(kernel.phases.count, 1))
    for (i, phase) in kernel.phases.enumerated() {
      let share = (phase.extent + workers - 1) / workers
      (phases + i).initialize(
        to: Phase(function: phase.function, extent: Int64(phase.extent), grain: Int64(max(phase.grain, share, 1))))
    }
    return phases
  }

  /// Asks for better code; a plan that nobody has any more does without.
  private func refine() {
    better { [weak self] kernel in
      guard let self else { return }
      let phases = Self.phases(of: kernel, workers)
      code.withLock { $0.append(Code(kernel: kernel, phases: phases)) }
      launch.pointee.phases.store(phases, ordering: .releasing)
    }
  }

  var call: BoundCall {
    let counting: CallFunction = { state, slots, data in
      guard let launch = data?.assumingMemoryBound(to: Launch.self) else { return 1 }
      launch.pointee.count()
      launch.pointee.run(RunState.at(state), slots)
      return 0
    }
    let plain: CallFunction = { state, slots, data in
      guard let launch = data?.assumingMemoryBound(to: Launch.self) else { return 1 }
      launch.pointee.run(RunState.at(state), slots)
      return 0
    }
    return BoundCall(isProvisional ? counting : plain, data: launch, owner: self)
  }
}
