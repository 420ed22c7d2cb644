/// Several diagnostics thrown as one error, so that a user sees all mistakes of a graph at once.
public struct DiagnosticList: Error, Hashable, Sendable {
  public var diagnostics: [Diagnostic]

  public init(_ diagnostics: [Diagnostic] = []) { self.diagnostics = diagnostics }

  public var isEmpty: Bool { diagnostics.isEmpty }

  public mutating func append(_ diagnostic: Diagnostic) { diagnostics.append(diagnostic) }

  /// Throws this list unless it is empty.
  public func throwIfAny() throws(DiagnosticList) {
    if !isEmpty { throw self }
  }
}

extension DiagnosticList: CustomStringConvertible {
  /// Every message, and how many there are where it is more than one.
  public var description: String { DiagnosticRenderer().render(self) }
}
