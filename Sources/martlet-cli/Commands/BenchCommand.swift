import ArgumentParser
import Foundation
import Martlet
import MartletWorkloads

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench", abstract: "Measures workloads.",
    discussion: """
      WORKLOAD is one of: \(Workload.all.map(\.name).joined(separator: ", ")); or the beginning of several names up to \
      an underscore, or all. With --json one object a workload is printed, a line each: {"workload", "threads", \
      "median_s", "min_s", "p90_s", "runs", "compile_s", "peak_bytes", "checksum"}. compile_s is the time from the data \
      being there to the end of the first run; peak_bytes the most memory that the process has occupied so far.
      """)

  @ArgumentParser.Argument(help: ArgumentHelp("What to measure.", valueName: "WORKLOAD"))
  var workloads: [String]
  @OptionGroup var settings: SessionSettings
  @Option(help: ArgumentHelp("How long each workload is measured.", valueName: "S"))
  var seconds = 5.0
  @Flag(help: "Prints where the time of the compilation and of ten more runs goes, to standard error.")
  var profile = false
  @Flag(help: "Prints one JSON object a workload.")
  var json = false

  func validate() throws {
    if !(seconds > 0 && seconds <= 3600) { throw ValidationError("--seconds must be between 0 and 3600") }
    for word in workloads where Self.matching(word).isEmpty {
      throw ValidationError(
        "there is no workload '\(word)'; there are \(Workload.all.map(\.name).joined(separator: ", "))")
    }
  }

  private static func matching(_ word: String) -> [Workload] { word == "all" ? Workload.all : Workload.matching(word) }

  func run() throws {
    try reportingFailure {
      let isTerminal = isatty(STDERR_FILENO) != 0
      var isFirst = true
      for workload in workloads.flatMap(Self.matching) {
        if isTerminal { showProgress("\(workload.name) …") }
        let options = Workload.Options(session: settings.options, seconds: seconds, isProfiling: profile)
        let result = try workload.measure(options)
        if isTerminal { showProgress("") }
        if json {
          print(result.json)
        } else {
          if isFirst {
            print(
              "workload                threads      median     fastest         p90"
                + "    runs    compiled     checksum")
          }
          print(row(result))
        }
        if let profile = result.profile, let compilation = result.compilation {
          FileHandle.standardError.write(Data("\(compilation)\n\(profile)\n".utf8))
        }
        fflush(nil)
        isFirst = false
      }
    }
  }

  private func row(_ result: WorkloadResult) -> String {
    let times = [result.measurement.median, result.measurement.min, result.measurement.quantile(0.9)]
    let columns = times.map { leftPadded(RunReport.duration($0), to: 12) }.joined()
    return padded(result.workload, to: 24) + leftPadded("\(result.threads)", to: 7) + columns
      + leftPadded("\(result.measurement.times.count)", to: 8)
      + leftPadded(RunReport.duration(result.compileSeconds), to: 12)
      + leftPadded(String(format: "%.6g", result.checksum), to: 13)
  }

  private func leftPadded(_ text: String, to width: Int) -> String {
    String(repeating: " ", count: max(width - text.count, 0)) + text
  }

  /// Replaces the line that standard error ends with.
  private func showProgress(_ text: String) {
    FileHandle.standardError.write(Data("\r\u{1b}[K\(text)".utf8))
  }
}
