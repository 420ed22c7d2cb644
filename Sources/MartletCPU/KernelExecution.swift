import CMartletRuntime
import MartletExecution
import MartletLoopIR

/// A compiled kernel and how its iterations are dealt to the team.
final class KernelExecution: @unchecked Sendable {
  /// What a call needs, without references.
  private struct Launch {
    var phases: UnsafeMutablePointer<Phase>
    var phaseCount: Int
    /// The place of the workers' scratch memory among the slots; none if negative.
    var scratchSlot: Int
    var scratchBytes: Int64
  }
  private struct Phase {
    var function: martlet_kernel
    var extent: Int64
    var grain: Int64
  }

  /// Keeps the code loaded.
  private let kernel: CompiledKernel
  private let launch: UnsafeMutablePointer<Launch>

  /// - Parameter workers: how many workers have scratch memory; no more take part, whatever the team's size.
  init(_ nest: Nest, _ kernel: CompiledKernel, workers: Int) {
    self.kernel = kernel
    let phases = UnsafeMutablePointer<Phase>.allocate(capacity: max(kernel.phases.count, 1))
    for (i, phase) in kernel.phases.enumerated() {
      let share = (phase.extent + workers - 1) / workers
      (phases + i).initialize(
        to: Phase(function: phase.function, extent: Int64(phase.extent), grain: Int64(max(phase.grain, share, 1))))
    }
    launch = .allocate(capacity: 1)
    launch.initialize(
      to: Launch(
        phases: phases, phaseCount: kernel.phases.count,
        scratchSlot: nest.scratchBytes > 0 ? nest.argumentCount + nest.temporaries.count : -1,
        scratchBytes: Int64(nest.scratchBytes)))
  }

  deinit {
    launch.pointee.phases.deallocate()
    launch.deallocate()
  }

  var call: BoundCall {
    BoundCall(
      { state, slots, data in
        guard let launch = data?.assumingMemoryBound(to: Launch.self) else { return 1 }
        let state = RunState.at(state)
        let scratch = launch.pointee.scratchSlot < 0 ? nil : slots[launch.pointee.scratchSlot]
        for number in 0..<launch.pointee.phaseCount {
          let phase = launch.pointee.phases + number
          martlet_team_kernel(
            phase.pointee.function, state.pointee.parameters, slots, state.pointee.status, scratch,
            launch.pointee.scratchBytes, phase.pointee.extent, phase.pointee.grain)
        }
        return 0
      }, data: launch, owner: self)
  }
}
