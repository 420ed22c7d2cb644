import Foundation
import Martlet

/// What a workload's measurement gave.
public struct WorkloadResult: Sendable {
  public let workload: String
  public let threads: Int
  public let measurement: Measurement
  /// Seconds from the data being there to the end of the first run: graph, compilation, variables, that run.
  public let compileSeconds: Double
  /// The most memory that the process has occupied, with the data and all workloads before this one; nil if unknown.
  public let peakBytes: Int?
  /// The mean magnitude of the result, or the loss at a certain step.
  public let checksum: Double
  /// Where the time of compiling the workload's run went.
  public var compilation: CompilationProfile? = nil
  /// Where the time of runs goes, if it was asked for.
  public let profile: RunProfile?

  /// One line of JSON: seconds with four significant digits, the checksum with seven.
  public var json: String {
    func number(_ value: Double, digits: Int) -> String {
      value.isFinite ? String(format: "%.\(digits)g", value) : "null"
    }
    let fields = [
      "\"workload\": \"\(workload)\"", "\"threads\": \(threads)",
      "\"median_s\": \(number(measurement.median, digits: 4))", "\"min_s\": \(number(measurement.min, digits: 4))",
      "\"p90_s\": \(number(measurement.quantile(0.9), digits: 4))", "\"runs\": \(measurement.times.count)",
      "\"compile_s\": \(number(compileSeconds, digits: 4))",
      "\"peak_bytes\": \(peakBytes.map(String.init) ?? "null")", "\"checksum\": \(number(checksum, digits: 7))",
    ]
    return "{\(fields.joined(separator: ", "))}"
  }
}

extension Workload {
  /// Draws the data, builds, checks and measures the workload. All code is generated anew, so that what that takes is
  /// measured.
  ///
  /// - Throws: what building the graph, compiling it or running it throws.
  public func measure(_ options: Options = Options()) throws -> WorkloadResult {
    var options = options
    options.session.codeCache = .off
    let build = prepare()
    let clock = ContinuousClock()
    let start = clock.now
    let execution = try build(options)
    try execution.run(RunOptions())
    let compileSeconds = (clock.now - start) / .seconds(1)
    let checksum = try execution.check()
    let measurement = try Measurement(seconds: options.seconds) { try execution.run(RunOptions()) }
    return WorkloadResult(
      workload: name, threads: options.session.threads ?? ProcessInfo.processInfo.activeProcessorCount,
      measurement: measurement, compileSeconds: compileSeconds, peakBytes: peakResidentBytes(), checksum: checksum,
      compilation: execution.session.statistics.compilations.last?.profile,
      profile: options.isProfiling ? try Self.profile(execution) : nil)
  }

  /// The steps of some runs. Taking their times slows the runs down, so they are none of those measured.
  private static func profile(_ execution: Execution) throws -> RunProfile {
    let trace = RunTrace()
    for _ in 0..<10 { try execution.run(RunOptions(trace: trace)) }
    return trace.profile
  }
}

/// The high-water mark of the process's resident memory, which Linux counts; unlike `getrusage`'s, without that of the process
/// which started it.
private func peakResidentBytes() -> Int? {
  guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
    let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
    let kibibytes = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) })
  else { return nil }
  return kibibytes * 1024
}
