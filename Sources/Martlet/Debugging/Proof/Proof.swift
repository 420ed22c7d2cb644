import MartletDiagnostics
import MartletGraph
import MartletRewriting
import MartletTensors
import Synchronization

/// Runs what a compilation does, before and after, on generated arrays with the interpreter, and ends it with a
/// diagnostic at the first thing that computes something else.
///
/// ```swift
/// let proof = Proof()
/// var options = SessionOptions()
/// options.instruments = [proof]
/// try Session(graph, options: options).plan(for: [y])
/// print(proof.report)
/// ```
///
/// - **Rules**: at each firing the expression between the values that the pattern names and the node that is replaced is
///   cut out, and run beside its replacement. The diagnostic names the rule, the node, its line, the first element that
///   differs and both numbers. Equal expressions of equal types are run once.
/// - **Passes**: the whole program is run before and after each pass that changes it. The diagnostic names the pass and
///   the first node, in topological order, whose value differs.
///
/// What is compared, and how exactly, is described at ``ProofTolerance``. What is too large to interpret is left out, and
/// counted in ``report``.
///
/// A proof is for the compilations of one session at a time. With the environment variable `MARTLET_PROVE=1` every
/// compilation of a process has one, and is verified after each pass.
public final class Proof: Instrument {
  /// How much is interpreted.
  public struct Limits: Sendable {
    /// The most element computations of the expression that a rule replaces.
    public var ruleWork = 1 << 16
    /// The most element computations of a program.
    public var programWork = 1 << 22
    public init() {}
  }

  public let limits: Limits
  private let state = Mutex(State())

  private struct State {
    var report = ProofReport()
    var known: Set<RuleCut.Key> = []
    var program: ProgramProof?
    /// The rules that have fired in the pass that runs, by the node that they replaced.
    var firings: [String: [String]] = [:]
  }

  public init(limits: Limits = Limits()) { self.limits = limits }

  /// What has been proved so far, and what has not.
  public var report: ProofReport { state.withLock { $0.report } }

  // MARK: Rules

  public var ruleObserver: RuleObserver? {
    { [self] firing throws(Diagnostic) in try prove(firing) }
  }

  private func prove(_ firing: RuleFiring) throws(Diagnostic) {
    let cut = RuleCut(firing)
    let isNew = state.withLock { state in
      state.report.count(firing.rule.name)
      state.firings[firing.name, default: []].append(firing.rule.name)
      return state.known.insert(cut.key).inserted
    }
    guard isNew else { return }
    let outcome = try RuleProof(firing, cut).run(largestWork: limits.ruleWork)
    state.withLock { $0.report.add(outcome, of: firing.rule.name) }
  }

  // MARK: Passes

  public func begin(_ program: Program) throws {
    try state.withLock { state in
      state.program = try ProgramProof(program, largestWork: limits.programWork)
      state.firings = [:]
    }
  }

  public func after(_ pass: String, from old: Program, to new: Program, time: Duration) throws {
    try state.withLock { state in
      defer { state.firings = [:] }
      guard state.program != nil else {
        // Shapes may be known by now.
        state.program = try ProgramProof(new, largestWork: limits.programWork)
        state.report.add(.init(pass: pass, outcome: .skipped(ProgramProof.reason(old, limits.programWork))))
        return
      }
      let outcome = try state.program?.compare(pass, old, new, rules: state.firings)
      if let outcome { state.report.add(.init(pass: pass, outcome: outcome)) }
    }
  }

  public func end(_ program: Program, _ context: PassContext) throws { state.withLock { $0.program = nil } }
}
