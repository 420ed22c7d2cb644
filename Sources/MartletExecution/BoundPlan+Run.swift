import MartletScheduling
import MartletTensors

extension BoundPlan {
  public func run(
    _ arguments: [Tensor], variables: [StoredVariable], number: Int, trace: RunTrace? = nil
  ) throws -> [Tensor] {
    try run(arguments, variables: variables, number: number, trace: trace) { TensorStorage(byteCount: $0) }
  }

  /// The results of a plan without variables, which are not kept for long.
  package func passingResults(_ arguments: [Tensor]) throws -> [Tensor] {
    try run(arguments, variables: [], number: 0, trace: nil) { TensorStorage(briefly: $0) }
  }

  private func run(
    _ arguments: [Tensor], variables: [StoredVariable], number: Int, trace: RunTrace?,
    resultMemory: (_ byteCount: Int) -> TensorStorage
  ) throws -> [Tensor] {
    precondition(arguments.count == plan.arguments.count && variables.count == plan.variables.count)
    plan.lock(variables)
    defer { for variable in variables { variable.release() } }
    try plan.checkValues(of: variables)
    let instance = takeInstance()
    defer { giveBack(instance) }
    instance.context.reset(run: number)
    for (i, variable) in variables.enumerated() { instance.setVariable(i, try variable.memory()) }
    let aligned = arguments.allSatisfy(\.isAligned) ? arguments : arguments.map(\.aligned)
    for i in aligned.indices { instance.setArgument(i, aligned[i].storage.bytes) }
    var results: [Tensor] = []
    results.reserveCapacity(plan.results.count)
    for (i, port) in plan.results.enumerated() {
      let (elementType, shape) = (port.type.elementType, port.type.shape.known ?? [])
      let byteCount = shape.reduce(elementType.byteWidth, *)
      let tensor = Tensor(elementType: elementType, shape: shape, storage: resultMemory(byteCount))
      instance.setResult(i, tensor.storage.bytes)
      results.append(tensor)
    }
    try withExtendedLifetime(aligned) { try execute(instance, trace) }
    for (variable, binding) in zip(variables, plan.variables) where binding.result != nil {
      variable.markAssigned()
    }
    return results
  }

  private func execute(_ instance: PlanInstance, _ trace: RunTrace?) throws {
    let buffer = trace.map { _ in TraceBuffer(workers: backend.workerCount) }
    var task = RunTask(runner: PlanRunner(self, instance, trace: buffer))
    withUnsafeMutablePointer(to: &task) { pointer in
      backend.run(
        isWide: isWide,
        { context in
          guard let task = context?.assumingMemoryBound(to: RunTask.self) else { return }
          task.pointee.isDone = task.pointee.runner.run(block: 0)
        }, UnsafeMutableRawPointer(pointer))
    }
    if let trace, let buffer { trace.add(buffer, of: self) }
    guard !task.isDone else { return }
    throw instance.context.error(at: task.runner.failedRecord.map { plan.origins[instructions[$0].origin] })
  }

  private struct RunTask {
    var runner: PlanRunner
    var isDone = false
  }
}
