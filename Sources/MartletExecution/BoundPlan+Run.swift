import CMartletRuntime
import MartletDiagnostics
import MartletScheduling
import MartletTensors

extension BoundPlan {
  public func run(
    _ arguments: [Tensor], variables: [StoredVariable], number: Int, trace: RunTrace? = nil
  ) throws -> [Tensor] {
    precondition(arguments.count == plan.arguments.count && variables.count == plan.variables.count)
    plan.lock(variables)
    defer { for variable in variables { variable.release() } }
    try plan.checkValues(of: variables)
    let instance = takeInstance()
    defer { giveBack(instance) }
    instance.reset(run: number)
    for (i, variable) in variables.enumerated() { instance.setVariable(i, try variable.memory()) }
    let aligned = arguments.allSatisfy(\.isAligned) ? arguments : arguments.map(\.aligned)
    for i in aligned.indices { instance.setArgument(i, aligned[i].storage.bytes) }
    var results: [Tensor] = []
    results.reserveCapacity(plan.results.count)
    for (i, port) in plan.results.enumerated() {
      let tensor = Tensor(uninitialized: port.type.elementType, shape: port.type.shape.known ?? [])
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
    if !task.isDone { throw failure(instance, record: task.runner.failedRecord) }
  }

  private struct RunTask {
    var runner: PlanRunner
    var isDone = false
  }

  private func failure(_ instance: PlanInstance, record: Int?) -> any Error {
    let origin = record.map { plan.origins[instructions[$0].origin] }
    let status = instance.state.pointee.status.pointee
    if status.code != 0 {
      let message = "index \(status.index) is out of bounds"
      return origin?.diagnostic(message) ?? Diagnostic(message)
    }
    guard let error = instance.failure.error else {
      return origin?.diagnostic("the library could not do what it was asked to") ?? Diagnostic("the run failed")
    }
    guard var diagnostic = error as? Diagnostic else {
      return origin?.diagnostic("\(error)") ?? Diagnostic("\(error)")
    }
    if let origin, diagnostic.operation == nil { diagnostic.operation = "\(origin.operation) '\(origin.name)'" }
    if let origin, diagnostic.site == .unknown { diagnostic.site = origin.site }
    return diagnostic
  }
}
