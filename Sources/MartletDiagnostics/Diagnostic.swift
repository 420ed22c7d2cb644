/// A user's mistake, or a fault found in a file, as data. ``DiagnosticRenderer`` writes the prose.
///
///     throw Diagnostic(
///       "must have 784 rows to match 'a' [?, 784]", operation: "MatMul 'dense/matmul'", operand: "b",
///       found: "float32[512, 10]", site: site)
public struct Diagnostic: Error, Hashable, Sendable {
  /// Something that helps to understand the mistake, perhaps at another place in the source.
  public struct Note: Hashable, Sendable {
    public var message: String
    public var site: BuildSite

    public init(_ message: String, site: BuildSite = .unknown) {
      self.message = message
      self.site = site
    }
  }

  /// What is wrong, without a full stop. A message that begins with "must" reads on from the operand's name. It may be
  /// empty where ``required`` and ``found`` say it all.
  public var message: String
  /// The operation's type and node name: `MatMul 'dense/matmul'`.
  public var operation: String?
  /// The operand's name in the operation's schema.
  public var operand: String?
  /// What would have been right, to be read after "requires": `a matrix`.
  public var required: String?
  /// What was there instead.
  public var found: String?
  /// Where the operation was built.
  public var site: BuildSite
  /// What to do about it.
  public var hint: String?
  public var notes: [Note]

  public init(
    _ message: String, operation: String? = nil, operand: String? = nil, required: String? = nil, found: String? = nil,
    site: BuildSite = .unknown, hint: String? = nil, notes: [Note] = []
  ) {
    self.message = message
    self.operation = operation
    self.operand = operand
    self.required = required
    self.found = found
    self.site = site
    self.hint = hint
    self.notes = notes
  }
}

extension Diagnostic: CustomStringConvertible {
  /// The whole message over several lines; see ``DiagnosticRenderer``.
  public var description: String { DiagnosticRenderer().render(self) }
}
