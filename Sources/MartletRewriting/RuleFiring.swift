import MartletDiagnostics
import MartletGraph

/// A rule that has just fired, while both sides are at hand.
///
/// The graph that is written has the operands and the replacement, but not the node that is replaced.
public struct RuleFiring {
  public let rule: Rule
  public let graph: Graph
  /// The nodes from this one on were added for the rule.
  public let firstNewNode: NodeID
  /// The name of the node that is replaced, and where it was built.
  public let name: String
  public let site: BuildSite
  public let root: any Operation
  public let operands: [Output]
  /// What the names of the rule's pattern stand for: the values that both sides are computed from.
  public let bound: [Output]
  /// The values in the place of the results.
  public let replacement: [Output]
}

/// Looks on while rules fire. An error ends the compilation.
public typealias RuleObserver = @Sendable (RuleFiring) throws(Diagnostic) -> Void
