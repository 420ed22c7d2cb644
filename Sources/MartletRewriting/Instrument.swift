import MartletDiagnostics
import MartletGraph

/// Something that looks on while a pipeline runs: dumps, times, verifies, compares.
public protocol Instrument: Sendable {
  func begin(_ program: Program) throws
  func before(_ pass: String, _ program: Program) throws
  func after(_ pass: String, from old: Program, to new: Program, time: Duration) throws
  func reached(_ form: Form, _ program: Program, for target: any Target) throws
  func end(_ program: Program, _ context: PassContext) throws
  /// Is shown every firing of a rule; nil, by default, if firings are of no interest.
  var ruleObserver: RuleObserver? { get }
}

extension Instrument {
  public var ruleObserver: RuleObserver? { nil }
  public func begin(_ program: Program) throws {}
  public func before(_ pass: String, _ program: Program) throws {}
  public func after(_ pass: String, from old: Program, to new: Program, time: Duration) throws {}
  public func reached(_ form: Form, _ program: Program, for target: any Target) throws {}
  public func end(_ program: Program, _ context: PassContext) throws {}
}

/// Hands the program to a closure after each pass, numbered, for dumps in text or DOT.
public struct DumpInstrument: Instrument {
  /// Gets the number of the pass, its name and the program behind it; number 0 is the program before all passes.
  public let write: @Sendable (Int, String, Program) throws -> Void
  private let counter = Counter()

  public init(_ write: @escaping @Sendable (Int, String, Program) throws -> Void) { self.write = write }

  public func begin(_ program: Program) throws { try write(counter.next(), "input", program) }
  public func after(_ pass: String, from old: Program, to new: Program, time: Duration) throws {
    try write(counter.next(), pass, new)
  }
}

/// Collects how long each pass took and how often each rule fired.
public final class StatisticsInstrument: Instrument, @unchecked Sendable {
  /// Pass by pass, in the order in which they ran. Read it when the pipeline has ended.
  public private(set) var times: [(pass: String, time: Duration, nodes: Int)] = []
  /// The passes inside of each `Fixpoint`, all rounds together.
  public private(set) var repeated: [(fixpoint: String, pass: String, time: Duration, rounds: Int)] = []
  public private(set) var firings: [(rule: String, count: Int)] = []
  public private(set) var warnings: [Diagnostic] = []

  public init() {}
  public func after(_ pass: String, from old: Program, to new: Program, time: Duration) throws {
    times.append((pass, time, new.main.body.nodeCount))
  }
  public func end(_ program: Program, _ context: PassContext) throws {
    (firings, warnings, repeated) = (context.firings, context.warnings, context.repeated)
  }
}

/// Checks the program's invariants after each pass and each form's promises when it is reached, and in the end that there
/// were no warnings.
public struct VerifyInstrument: Instrument {
  /// Whether a warning is an error.
  public var refusesWarnings: Bool
  public init(refusesWarnings: Bool = true) { self.refusesWarnings = refusesWarnings }
  public func after(_ pass: String, from old: Program, to new: Program, time: Duration) throws {
    try FormVerifier.verifyStructure(new, after: pass)
  }
  public func reached(_ form: Form, _ program: Program, for target: any Target) throws {
    try FormVerifier.verify(program, is: form, for: target)
  }
  public func end(_ program: Program, _ context: PassContext) throws {
    if refusesWarnings, let warning = context.warnings.first { throw warning }
  }
}

/// Lets a closure compare the program before and after each pass, as by running both.
public struct ComparisonInstrument: Instrument {
  public let compare: @Sendable (_ pass: String, _ old: Program, _ new: Program) throws -> Void
  public init(_ compare: @escaping @Sendable (String, Program, Program) throws -> Void) { self.compare = compare }
  public func after(_ pass: String, from old: Program, to new: Program, time: Duration) throws {
    try compare(pass, old, new)
  }
}

private final class Counter: @unchecked Sendable {
  private var value = -1
  func next() -> Int {
    value += 1
    return value
  }
}
