import MartletCPU
import MartletDiagnostics
import MartletExecution
import MartletGraph
import MartletPasses
import MartletScheduling

/// The way from a program to a plan.
struct ProgramCompiler: Sendable {
  let backend: any Backend
  let options: SessionOptions

  init(_ options: SessionOptions) throws {
    self.options = options
    switch options.device {
    case .cpu: backend = try CPUBackend(threads: options.threads)
    case .interpreter: backend = InterpreterBackend()
    }
  }

  func plan(_ program: Program) throws -> ExecutionPlan {
    let promoted = try PromoteState().run(program)
    return try Planner.plan(promoted, for: backend)
  }
}
