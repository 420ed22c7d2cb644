import CMartletRuntime
import MartletDiagnostics
import MartletScheduling
import MartletTensors

extension BoundPlan {
  /// Runs the plan.
  ///
  /// - Parameters:
  ///   - arguments: the feeds, of the plan's types. They are read where they are.
  ///   - variables: those of the plan, in its order. They are locked until the run has ended.
  ///   - number: counts the runs of the session; random numbers depend on it.
  ///   - trace: takes the time of each instruction.
  /// - Returns: the fetches.
  /// - Throws: a diagnostic that names the node at which the run ended, or a variable without a value.
  public func run(
    _ arguments: [Tensor], variables: [StoredVariable], number: Int, trace: RunTrace? = nil
  ) throws -> [Tensor] {
    precondition(arguments.count == plan.arguments.count && variables.count == plan.variables.count)
    lock(variables)
    defer { for variable in variables { variable.release() } }
    for (variable, binding) in zip(variables, plan.variables) {
      guard binding.argument == nil || variable.isInitialized else {
        throw Diagnostic(
          "the variable '\(variable.name)' is read before it has a value",
          hint: "run the graph's initializer first: session.run(graph.initializer)")
      }
    }
    let instance = takeInstance()
    defer { giveBack(instance) }
    instance.reset(run: number)
    for (i, variable) in variables.enumerated() { instance.setVariable(i, variable.memory()) }
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
      variable.markInitialized()
    }
    return results
  }

  /// Takes the variables' locks in the order of their numbers.
  private func lock(_ variables: [StoredVariable]) {
    var order = Array(variables.indices)
    if !zip(variables, variables.dropFirst()).allSatisfy({ $0.number < $1.number }) {
      order.sort { variables[$0].number < variables[$1].number }
    }
    for i in order { variables[i].acquire(exclusively: plan.variables[i].result != nil) }
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
