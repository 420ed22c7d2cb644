/// What a ``Proof`` has compared, and what it has left out.
public struct ProofReport: Sendable {
  /// The firings of one rule.
  public struct RuleEntry: Sendable {
    public let rule: String
    public internal(set) var firings = 0
    /// How many different expressions were run before and after.
    public internal(set) var proved = 0
    /// How many different expressions were left out, since they are too large to interpret or no arrays were found on
    /// which they run.
    public internal(set) var skipped = 0
  }

  /// One run of a pass.
  public struct PassEntry: Sendable {
    public enum Outcome: Sendable, Hashable {
      /// The pass has left the program as it is.
      case unchanged
      /// Both programs were run. `closeness` is the greatest part of its tolerance that an element has used.
      case proved(closeness: Double)
      /// Nothing was run, for this reason.
      case skipped(String)
    }
    public let pass: String
    public let outcome: Outcome
  }

  /// In the order of first firing.
  public private(set) var rules: [RuleEntry] = []
  /// In the order in which they ran.
  public private(set) var passes: [PassEntry] = []

  /// The firings of a rule; nil if it has not fired.
  public func entry(of rule: String) -> RuleEntry? { rules.first { $0.rule == rule } }

  /// How many expressions and programs were left out.
  public var skippedCount: Int {
    rules.reduce(0) { $0 + $1.skipped } + passes.count { if case .skipped = $0.outcome { true } else { false } }
  }

  mutating func count(_ rule: String) {
    if !rules.contains(where: { $0.rule == rule }) { rules.append(RuleEntry(rule: rule)) }
    for i in rules.indices where rules[i].rule == rule { rules[i].firings += 1 }
  }

  mutating func add(_ outcome: RuleProof.Outcome, of rule: String) {
    for i in rules.indices where rules[i].rule == rule {
      switch outcome {
      case .proved: rules[i].proved += 1
      case .skipped: rules[i].skipped += 1
      }
    }
  }

  mutating func add(_ entry: PassEntry) { passes.append(entry) }
}

extension ProofReport: CustomStringConvertible {
  public var description: String {
    let width = (passes.map(\.pass.count) + rules.map(\.rule.count)).max() ?? 0
    func column(_ text: String) -> String { text + String(repeating: " ", count: width - text.count) }
    var lines = passes.map { entry in
      let outcome =
        switch entry.outcome {
        case .unchanged: "unchanged"
        case .proved(let closeness):
          closeness == 0 ? "the same bits" : "the same to \(Int((closeness * 100).rounded(.up))) % of the tolerance"
        case .skipped(let reason): "not compared: \(reason)"
        }
      return "\(column(entry.pass))  \(outcome)"
    }
    lines += rules.map { entry in
      "\(column(entry.rule))  firings: \(entry.firings), expressions compared: \(entry.proved)"
        + (entry.skipped == 0 ? "" : ", left out: \(entry.skipped)")
    }
    return lines.joined(separator: "\n")
  }
}
