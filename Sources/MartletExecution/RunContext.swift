import CMartletRuntime
import MartletDiagnostics
import MartletScheduling

/// What a run hands to every call on the processor, and what it finds out about a fault.
package final class RunContext: @unchecked Sendable {
  package let state: UnsafeMutablePointer<RunState>
  private let failure = RunFailure()

  package init() {
    let parameters = UnsafeMutablePointer<Int64>.allocate(capacity: RunState.parameterCount)
    parameters.initialize(repeating: 0, count: RunState.parameterCount)
    let status = UnsafeMutablePointer<martlet_status>.allocate(capacity: 1)
    status.initialize(to: martlet_status())
    state = .allocate(capacity: 1)
    state.initialize(
      to: RunState(parameters: parameters, status: status, failure: Unmanaged.passUnretained(failure)))
  }

  deinit {
    state.pointee.parameters.deallocate()
    state.pointee.status.deallocate()
    state.deallocate()
  }

  package func reset(run number: Int) {
    state.pointee.parameters[0] = Int64(number)
    state.pointee.parameters[1] = 0
    state.pointee.status.pointee = martlet_status()
    failure.error = nil
  }

  /// Why a call ended the run.
  ///
  /// - Parameter origin: the node behind the call.
  package func error(at origin: PlanOrigin?) -> any Error {
    let status = state.pointee.status.pointee
    if status.code != 0 { return Self.badIndex(Int(status.index), at: origin) }
    guard let error = failure.error else {
      return origin?.diagnostic("the library could not do what it was asked to") ?? Diagnostic("the run failed")
    }
    guard var diagnostic = error as? Diagnostic else {
      return origin?.diagnostic("\(error)") ?? Diagnostic("\(error)")
    }
    if let origin, diagnostic.operation == nil { diagnostic.operation = "\(origin.operation) '\(origin.name)'" }
    if let origin, diagnostic.site == .unknown { diagnostic.site = origin.site }
    return diagnostic
  }

  /// What is said of an index that a kernel found to be wrong.
  package static func badIndex(_ index: Int, at origin: PlanOrigin?) -> Diagnostic {
    let message = "index \(index) is out of bounds"
    return origin?.diagnostic(message) ?? Diagnostic(message)
  }
}
