import MartletLoopIR

extension CUDAKernel {
  /// Whether it can be joined with others: it is one launch, in which threads compute elements by themselves.
  public var isJoinable: Bool {
    guard let schedule, schedule.splits.isEmpty, temporaries.isEmpty, let first = schedule.groups.first else {
      return false
    }
    return !first.joinsLaunch && schedule.groups.dropFirst().allSatisfy(\.joinsLaunch)
      && schedule.groups.allSatisfy { if case .elements = $0.shape { true } else { false } }
  }

  /// Several kernels that do not need each other as one launch: a thousand small operations, or the updates of all of a model's
  /// variables. Where their code is the same but for arrays and lengths, it is there once.
  ///
  /// - Parameter kernels: Joinable ones, made for `device`. Their inputs and outputs, in this order, are those of the whole.
  public init(joining kernels: [CUDAKernel], for device: CUDADevice) {
    var parts: [StageProgram.Part] = []
    var inputs: [BufferType] = []
    var outputs: [StageProgram.Wire] = []
    var groups: [CUDASchedule.Group] = []
    var stages = 0
    for kernel in kernels {
      guard kernel.isJoinable, let program = kernel.prepared, let schedule = kernel.schedule else {
        preconditionFailure("a kernel that cannot be joined")
      }
      parts.append(
        StageProgram.Part(program: program, inputs: program.inputs.indices.map { .input(inputs.count + $0) }))
      outputs += program.outputs.indices.map { .part(parts.count - 1, output: $0) }
      for group in schedule.groups {
        let moved = group.stages.lowerBound + stages..<group.stages.upperBound + stages
        groups.append(CUDASchedule.Group(stages: moved, shape: group.shape, joinsLaunch: !groups.isEmpty))
      }
      inputs += program.inputs
      stages += program.stages.count
    }
    let program = StageProgram.composed(parts, inputs: inputs, outputs: outputs)
    // In the order that the groups number: `splitting` would put stages over the same domain side by side.
    self.init(program, prepared: program, CUDASchedule(groups: groups), for: device)
  }
}
