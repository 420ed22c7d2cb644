import Foundation
import Martlet

/// What the passes took, what the rules did, and how far numbers moved, as tables.
struct PassReport {
  let statistics: StatisticsInstrument
  let comparison: NumericComparison?

  var json: JSONValue {
    var passes: [JSONValue] = []
    for (i, item) in statistics.times.enumerated() {
      var members: [(key: String, value: JSONValue)] = [
        ("name", .string(item.pass)), ("seconds", .number(item.time / .seconds(1))), ("nodes", .int(item.nodes)),
      ]
      if let differences = comparison?.differences, differences.indices.contains(i) {
        members.append(("difference", .number(differences[i].absolute)))
      }
      passes.append(.members(members))
      for inner in statistics.repeated where inner.fixpoint == item.pass {
        passes.append(
          .object([
            "name": .string("\(item.pass)/\(inner.pass)"), "seconds": .number(inner.time / .seconds(1)),
            "rounds": .int(inner.rounds),
          ]))
      }
    }
    let rules = statistics.firings.map { JSONValue.object(["name": .string($0.rule), "firings": .int($0.count)]) }
    return .object(["passes": .array(passes), "rules": .array(rules)])
  }

  var text: String {
    let width = statistics.times.map(\.pass.count).max() ?? 0
    var lines = [
      padded("pass", to: width) + "        time   nodes" + (comparison == nil ? "" : "   greatest difference")
    ]
    for (i, item) in statistics.times.enumerated() {
      var line = padded(item.pass, to: width)
      line += String(format: "  %7.2f ms  %6d", item.time / .seconds(1) * 1e3, item.nodes)
      if let differences = comparison?.differences, differences.indices.contains(i) {
        line += "   " + text(differences[i])
      }
      lines.append(line)
    }
    if !statistics.firings.isEmpty {
      let width = statistics.firings.map(\.rule.count).max() ?? 0
      lines.append(padded("rule", to: width) + "  firings")
      for firing in statistics.firings {
        lines.append(padded(firing.rule, to: width) + String(format: "  %7d", firing.count))
      }
    }
    for warning in statistics.warnings {
      lines.append("warning: \([warning.message, warning.found].compactMap { $0 }.joined(separator: "; "))")
    }
    return lines.joined(separator: "\n")
  }

  private func text(_ difference: NumericComparison.Difference) -> String {
    if difference.absolute == 0 { return "none" }
    return String(format: "%.2g, relative %.2g in %@", difference.absolute, difference.relative, difference.name)
  }
}
