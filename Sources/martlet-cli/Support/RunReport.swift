import Foundation
import Martlet

/// What `martlet run` tells of its runs.
struct RunReport {
  var results: [Tensor] = []
  /// Seconds; the first has the compilation in it.
  var times: [Double] = []
  var compilation: SessionStatistics.Compilation?

  private var compileSeconds: Double { compilation?.seconds ?? 0 }

  /// The runs that were not kept up by compiling, from the shortest to the longest.
  private var steadyTimes: [Double] {
    times.count > 1 ? times.dropFirst().sorted() : times.map { max($0 - compileSeconds, 0) }
  }

  private var median: Double {
    let times = steadyTimes
    guard !times.isEmpty else { return 0 }
    return (times[(times.count - 1) / 2] + times[times.count / 2]) / 2
  }

  /// As `ExecutionPlan.peakBytes`: the arena and the fetched arrays.
  private var peakBytes: Int { (compilation?.arenaBytes ?? 0) + results.reduce(0) { $0 + $1.byteCount } }

  func json(_ fetches: [Output], _ files: [String?]) -> JSONValue {
    var outputs: [JSONValue] = []
    for (i, tensor) in results.enumerated() {
      outputs.append(
        .object([
          "name": .string(fetches[i].name), "dtype": .string(tensor.elementType.name),
          "shape": .array(tensor.shape.map { .int($0) }), "file": .optional(files[i]),
        ]))
    }
    return .object([
      "outputs": .array(outputs), "compile_s": .number(compileSeconds), "first_run_s": .number(times.first ?? 0),
      "median_s": .number(median), "min_s": .number(steadyTimes.first ?? 0), "runs": .int(times.count),
      "peak_bytes": .int(peakBytes),
      "compile": compilation.map { .profile($0.profile) } ?? .null,
      "plan": .object([
        "kernels": .int(compilation?.kernelCount ?? 0), "instructions": .int(compilation?.instructionCount ?? 0),
        "arena_bytes": .int(compilation?.arenaBytes ?? 0),
      ]),
    ])
  }

  func text(_ fetches: [Output], _ files: [String?]) -> String {
    var lines: [String] = []
    for (i, tensor) in results.enumerated() {
      lines.append("\(fetches[i].name): \(files[i].map { "\(tensor.type), written to \($0)" } ?? tensor.description)")
    }
    lines.append(
      "compiled in \(Self.duration(compileSeconds)); \(times.count) run\(times.count == 1 ? "" : "s"), median "
        + "\(Self.duration(median)), shortest \(Self.duration(steadyTimes.first ?? 0)); at most \(byteText(peakBytes))")
    return lines.joined(separator: "\n")
  }

  static func duration(_ seconds: Double) -> String {
    if seconds < 1e-3 { return String(format: "%.1f µs", seconds * 1e6) }
    if seconds < 1 { return String(format: "%.2f ms", seconds * 1e3) }
    return String(format: "%.2f s", seconds)
  }
}

/// `512 bytes`, `1.5 KiB`, `24.0 MiB`.
func byteText(_ count: Int) -> String {
  var value = Double(count)
  var units = ["KiB", "MiB", "GiB", "TiB"][...]
  guard value >= 1024 else { return "\(count) bytes" }
  value /= 1024
  while value >= 1024, units.count > 1 {
    value /= 1024
    units.removeFirst()
  }
  return String(format: "%.1f %@", value, units.first ?? "")
}
