import MartletCPU
import MartletDiagnostics
import MartletExecution
import MartletGraph
import MartletPasses
import MartletRewriting
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

  /// The program after the passes of the pipeline up to a form.
  func optimize(_ program: Program, until form: Form = .fused) throws -> Program {
    try Pipeline.standard(fusing: options.isFusing, rules: options.rules).run(
      program, target: backend, until: form, instruments: options.instruments)
  }

  func plan(_ program: Program) throws -> ExecutionPlan { try Planner.plan(try optimize(program), for: backend) }
}
