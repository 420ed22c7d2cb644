import Glibc
import MartletCPU
import MartletCUDA
import MartletDiagnostics
import MartletExecution
import MartletGraph
import MartletPasses
import MartletRewriting
import MartletScheduling
import MartletTensors

/// The way from a program to a plan.
struct ProgramCompiler: Sendable {
  let backend: any Backend
  /// Computes what does not depend on a run.
  private let host: any HostBackend
  private let constants: ConstantEvaluator
  let options: SessionOptions
  let device: SessionOptions.Device

  init(_ options: SessionOptions) throws {
    self.options = options
    device = try options.device ?? .standard()
    let known = Set((Pipeline.standardRules.rules + (options.rules?.rules ?? [])).map(\.name))
    if let name = options.disabledRules.subtracting(known).min() {
      throw Diagnostic(
        "there is no rule '\(name)' to disable", hint: "there are \(known.sorted().joined(separator: ", "))")
    }
    switch device {
    case .cpu, .cuda:
      host = CPUBackend(
        threads: options.threads, exact: options.isExact, deterministic: options.isDeterministic,
        codeCache: options.codeCache, tuning: options.tunesSchedules)
    case .interpreter: host = InterpreterBackend()
    }
    constants = ConstantEvaluator(host, isFusing: options.isFusing, isExact: options.isExact)
    if case .cuda(let ordinal) = device {
      let gpu = try CUDABackend(
        ordinal: ordinal, processor: host, options: options.cuda, exact: options.isExact,
        deterministic: options.isDeterministic || CPUBackend.isDeterminismAskedFor, codeCache: options.codeCache,
        libraries: options.cudaLibraries)
      for line in gpu.missingLibraries { options.log?("warning: \(line)") }
      backend = gpu
    } else {
      backend = host
    }
  }

  /// The program after the passes of the pipeline up to a form.
  ///
  /// - Parameter profile: is told what each pass took.
  func optimize(_ program: Program, until form: Form = .fused, profile: inout CompilationProfile) throws -> Program {
    let statistics = StatisticsInstrument()
    var instruments = options.instruments + [statistics]
    if let log = options.log { instruments.append(WarningLog(log: log)) }
    // What soft placement warns of is the user's affair.
    if Self.isProving { instruments += [VerifyInstrument(refusesWarnings: !options.isPlacementSoft), Proof()] }
    let result = try Pipeline.standard(
      fusing: options.isFusing, softPlacement: options.isPlacementSoft, exact: options.isExact,
      savingMemory: options.memoryBudget != nil, rules: options.rules, disabledRules: options.disabledRules
    ).run(
      program, target: backend, until: form, instruments: instruments,
      evaluate: { [constants] in try constants.results(of: $0) },
      constants: { [constants] in try constants.constants($0) })
    profile.add(statistics)
    return result
  }

  /// Whether the environment asks for every compilation of the process to be proved.
  private static let isProving: Bool = {
    let value = getenv("MARTLET_PROVE").map { String(cString: $0) } ?? ""
    return value != "" && value != "0"
  }()

  /// The plan of a program; debug builds check its use of memory where that takes little time.
  func plan(_ program: Program, profile: inout CompilationProfile) throws -> ExecutionPlan {
    let fused = try optimize(program, profile: &profile)
    let start = ContinuousClock.now
    let plan = try fittingPlan(fused)
    profile.planningSeconds += (ContinuousClock.now - start) / .seconds(1)
    assert(
      plan.slots.count > Self.largestCheckedPlan || PlanVerifier.violations(of: plan).isEmpty,
      "\(PlanVerifier.violations(of: plan).joined(separator: "\n"))\n\(plan)")
    return plan
  }

  /// - Throws: a diagnostic that lists the largest values if a run would take more memory than it may.
  private func fittingPlan(_ program: Program) throws(Diagnostic) -> ExecutionPlan {
    guard let budget = options.memoryBudget else { return try Planner.plan(program, for: backend) }
    let outcome = try Rematerialization.plan(program, for: backend, within: budget)
    if outcome.recomputedCount > 0 {
      options.log?("\(outcome.recomputedCount) steps run again in each run, to stay within \(budget) bytes")
    }
    return outcome.plan
  }

  /// The number of slots up to which the verifier, whose time grows with its square, runs in debug builds.
  private static let largestCheckedPlan = 1000
}

/// Hands the warnings of a compilation to the session's log.
private struct WarningLog: Instrument {
  let log: @Sendable (String) -> Void
  func end(_ program: Program, _ context: PassContext) throws {
    for warning in context.warnings {
      log("warning: \([warning.message, warning.found].compactMap { $0 }.joined(separator: "; "))")
    }
  }
}
