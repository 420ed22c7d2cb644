/// Writes diagnostics as text.
///
///     error: MatMul 'dense/matmul': operand 'b' must have 784 rows to match 'a' [?, 784]; found float32[512, 10]
///       at Sources/MyApp/main.swift:17
///       hint: transpose 'b', or give the layer 784 inputs
public struct DiagnosticRenderer: Sendable {
  /// Whether sites are looked up and printed. Looking up takes milliseconds.
  public var showsSites: Bool

  public init(showsSites: Bool = true) { self.showsSites = showsSites }

  public func render(_ diagnostic: Diagnostic) -> String {
    var lines = ["error: " + headline(diagnostic)]
    lines += siteLine(diagnostic.site, indentation: "  ")
    if let hint = diagnostic.hint { lines.append("  hint: \(hint)") }
    for note in diagnostic.notes {
      lines.append("  note: \(note.message)")
      lines += siteLine(note.site, indentation: "    ")
    }
    return lines.joined(separator: "\n")
  }

  public func render(_ list: DiagnosticList) -> String {
    let count = list.diagnostics.count
    var parts = list.diagnostics.map(render)
    if count != 1 { parts.append("\(count) errors") }
    return parts.joined(separator: "\n")
  }

  /// The first line without "error:".
  private func headline(_ diagnostic: Diagnostic) -> String {
    let subject = diagnostic.operand.map { "operand '\($0)'" }
    var clauses: [String] = []
    if let required = diagnostic.required {
      clauses = [diagnostic.message, [subject, "requires \(required)"].compactMap { $0 }.joined(separator: " ")]
    } else if let subject {
      let separator = diagnostic.message.isEmpty || diagnostic.message.hasPrefix("must ") ? " " : ": "
      clauses = [subject + separator + diagnostic.message]
    } else {
      clauses = [diagnostic.message]
    }
    if let found = diagnostic.found { clauses.append("found \(found)") }
    let text = clauses.filter { !$0.isEmpty }.joined(separator: "; ")
    return diagnostic.operation.map { "\($0): \(text)" } ?? text
  }

  private func siteLine(_ site: BuildSite, indentation: String) -> [String] {
    guard showsSites, let location = site.resolved else { return [] }
    // A file without lines, such as a binary one, has line 0.
    return ["\(indentation)at \(location.shortPath)\(location.line > 0 ? ":\(location.line)" : "")"]
  }
}
