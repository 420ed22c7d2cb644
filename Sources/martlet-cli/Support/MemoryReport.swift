import Martlet

extension MemoryUse {
  /// Lists at most this many values.
  private static let mostValues = 10

  /// What a run takes, and the largest values with the lines that made them.
  var text: String {
    var lines = [
      "memory: at most \(byteText(peakBytes)): \(byteText(arenaBytes)) for values on the way, \(byteText(fetchedBytes)) "
        + "fetched; beside it \(byteText(feedBytes)) fed, \(byteText(constantBytes)) of constants, "
        + "\(byteText(variableBytes)) of variables"
    ]
    if let busiest {
      lines.append(
        "most at \(busiest.operation) '\(busiest.name)'\(Self.place(busiest)): \(byteText(busiestBytes)) in use")
    }
    let shown = values.prefix(Self.mostValues)
    let width = shown.map { byteText($0.byteCount).count }.max() ?? 0
    for value in shown {
      let size = byteText(value.byteCount)
      var what = value.type.map { "\($0) " } ?? ""
      if value.name != value.origin.name { what += "'\(value.name)' of " }
      lines.append(
        "  \(String(repeating: " ", count: width - size.count))\(size)  \(what)\(value.origin.operation) "
          + "'\(value.origin.name)'\(Self.place(value.origin))")
    }
    if values.count > shown.count { lines.append("  and \(values.count - shown.count) smaller ones") }
    return lines.joined(separator: "\n")
  }

  var json: JSONValue {
    var largest: [JSONValue] = []
    for value in values.prefix(Self.mostValues) {
      let line: String? = value.origin.site.resolved.map { "\($0.shortPath):\($0.line)" }
      let type: String? = value.type.map { "\($0)" }
      largest.append(
        JSONValue.object([
          "name": .string(value.name), "type": .optional(type), "bytes": .int(value.byteCount),
          "operation": .string(value.origin.operation), "node": .string(value.origin.name), "line": .optional(line),
        ]))
    }
    return JSONValue.object([
      "arena_bytes": .int(arenaBytes), "fetched_bytes": .int(fetchedBytes), "feed_bytes": .int(feedBytes),
      "constant_bytes": .int(constantBytes), "variable_bytes": .int(variableBytes), "busiest_bytes": .int(busiestBytes),
      "busiest": .optional(busiest?.name), "values": .array(largest),
    ])
  }

  private static func place(_ origin: PlanOrigin) -> String {
    guard let location = origin.site.resolved else { return "" }
    return " at \(location.shortPath)\(location.line > 0 ? ":\(location.line)" : "")"
  }
}
