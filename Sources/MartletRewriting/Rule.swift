import MartletDiagnostics
import MartletGraph

/// A rewrite: where the pattern matches and the replacement is not nil, the root's results become the replacement.
///
/// ```swift
/// Rule("remove-double-negation", .operation("Neg", .operation("Neg", .value("x")))) { m in [m["x"]] }
/// ```
public struct Rule: Sendable {
  /// What the numbers of a replacement have to do with those of what it replaces.
  public enum Promise: Sendable, Hashable {
    /// Every bit is the same: NaN, infinities, signed zeros and rounding too.
    case sameBits
    /// They are the same in real arithmetic, and rounding does no more harm than before.
    case sameButForRounding
    /// As `sameButForRounding`; and where overflow, underflow or cancellation spoilt them before they may be right now.
    case noLessAccurate
  }

  /// A unique phrase in kebab-case, the same in code, dumps, switches and tests.
  public let name: String
  public let pattern: Pattern
  /// What a proof holds the rule to.
  public let promise: Promise
  /// Whether nobody but the root may use its operands, constants left out.
  ///
  /// An expression whose rounded parts are used elsewhere too may rely on their rounding, as compensated formulas and
  /// gradients do.
  public let needsSoleUse: Bool
  /// The values to use instead, one for each result; nil if the rule's condition does not hold.
  public let replacement: @Sendable (Match) throws(Diagnostic) -> [Output]?

  public init(
    _ name: String, _ pattern: Pattern, promise: Promise = .sameBits, needsSoleUse: Bool = false,
    replacement: @escaping @Sendable (Match) throws(Diagnostic) -> [Output]?
  ) {
    (self.name, self.pattern, self.promise, self.replacement) = (name, pattern, promise, replacement)
    self.needsSoleUse = needsSoleUse
  }

  /// The operation at the pattern's root.
  var root: String {
    guard case .node(let name, _, _) = pattern else {
      preconditionFailure("the pattern of rule '\(name)' must begin with an operation")
    }
    return name
  }
}

/// Rules that belong together. Sets add up with `+`.
public struct RuleSet: Sendable {
  public let name: String
  public let rules: [Rule]

  public init(_ name: String, _ rules: [Rule]) { (self.name, self.rules) = (name, rules) }

  public static func + (a: RuleSet, b: RuleSet) -> RuleSet {
    RuleSet("\(a.name)+\(b.name)", a.rules + b.rules)
  }

  /// The set without the rules of these names.
  public func without(_ names: Set<String>) -> RuleSet { RuleSet(name, rules.filter { !names.contains($0.name) }) }
}
