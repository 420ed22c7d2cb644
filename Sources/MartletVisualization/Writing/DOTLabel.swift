/// The text in a node, as one of DOT's HTML-like labels.
struct DOTLabel {
  /// Small grey letters above the lines: the scopes of a node that has no box around it.
  var heading: String?
  /// What a node is, in bold letters, each with what is to know of it, in small ones.
  var parts: [(title: String, details: [String])]
  /// Rows of a table below the text, as DOT writes them.
  var rows: [String] = []

  init(_ title: String, _ details: [String] = []) { parts = [(title, details)] }
  init(parts: [(title: String, details: [String])]) { self.parts = parts }

  var html: String {
    var lines: [String] = []
    if let heading { lines.append(Self.small(heading, color: "#7b8794")) }
    for part in parts {
      lines += Self.wrapped(part.title).map { "<b>\(Self.escape($0))</b>" }
      lines += part.details.map { Self.small($0, color: "#3e4c59") }
    }
    let text = lines.joined(separator: "<br/>")
    guard !rows.isEmpty else { return "<\(text)>" }
    return "<<table border=\"0\" cellborder=\"0\" cellspacing=\"0\" cellpadding=\"2\"><tr><td>\(text)</td></tr>"
      + rows.map { "<tr><td>\($0)</td></tr>" }.joined() + "</table>>"
  }

  private static func small(_ text: String, color: String) -> String {
    "<font point-size=\"8\" color=\"\(color)\">\(escape(shortened(text)))</font>"
  }

  /// Lines of about 34 characters, broken behind the pluses of a kernel's label; at most six.
  private static func wrapped(_ text: String) -> [String] {
    guard text.count > 34 else { return [text] }
    var lines: [String] = []
    var line = ""
    for part in text.split(separator: " + ") {
      if !line.isEmpty, line.count + part.count > 32 {
        lines.append(line + " +")
        line = ""
      }
      line += line.isEmpty ? shortened(String(part)) : " + \(part)"
    }
    if !line.isEmpty { lines.append(line) }
    return lines.count <= 6 ? lines : Array(lines.prefix(5)) + ["… \(lines.count - 5) more lines"]
  }

  /// The text, without its middle if it is long.
  static func shortened(_ text: String) -> String {
    text.count <= 60 ? text : "\(text.prefix(28))…\(text.suffix(30))"
  }

  /// The text with nothing in it that DOT would take for markup.
  static func escape(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case _ where scalar.value < 32 || scalar.value & 0xfffe == 0xfffe: result += " "
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
