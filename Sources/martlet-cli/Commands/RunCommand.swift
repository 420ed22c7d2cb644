import ArgumentParser
import Foundation
import Martlet

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Runs a model on arrays from files.",
    discussion: """
      With --json one object is printed: {"outputs": [{"name", "dtype", "shape", "file"}], "compile_s", "first_run_s", \
      "median_s", "min_s", "runs", "peak_bytes", "compile": {"extraction_s", "passes": [{"name", "seconds"}], \
      "planning_s", "codegen_s", "libraries_s", "kernels", "kernels_from_cache"}, "plan": {"kernels", "instructions", \
      "arena_bytes"}}. first_run_s has the compilation in it; median and minimum are of the runs after the first, or of \
      that run without its compilation if there is only one. A pass that repeats others has theirs as "passes".
      """)

  @OptionGroup var model: ModelArgument
  @Option(name: .customLong("feed"), help: ArgumentHelp("An array for an input.", valueName: "NAME=FILE.npy"))
  var feeds: [FeedArgument] = []
  @OptionGroup var selection: SelectionOptions
  @Option(help: ArgumentHelp("Writes each fetched array to a file in this folder.", valueName: "DIR"))
  var out: String?
  @OptionGroup var settings: SessionSettings
  @Option(help: ArgumentHelp("How often to run.", valueName: "N"))
  var `repeat` = 1
  @Option(name: .customLong("init"), help: ArgumentHelp("A node to run once before all else.", valueName: "NAME"))
  var initializers: [String] = []
  @Option(
    help: ArgumentHelp("Writes the times of the last run's steps, for chrome://tracing or Perfetto.", valueName: "FILE")
  )
  var trace: String?
  @Flag(help: "Prints where the time of the last run went, to standard error.")
  var profile = false
  @Flag(help: "Prints one JSON object.")
  var json = false

  func validate() throws {
    if `repeat` < 1 { throw ValidationError("--repeat must be at least 1") }
  }

  func run() throws {
    try reportingFailure {
      let graph = try model.load()
      let interface = ModelInterface(graph)
      let fetches = try selection.fetches(of: interface)
      let targets = try selection.targets(of: interface)
      guard !fetches.isEmpty || !targets.isEmpty else {
        throw Diagnostic("\(model.model) has no outputs", hint: "name what is wanted with --fetch or --target")
      }
      let arrays = try FeedReader(interface).read(feeds, fetches: fetches, targets: targets)
      let files = try outputFiles(fetches)
      let session = try Session(graph, options: settings.options)
      for name in initializers { try session.run(try interface.node(named: name)) }
      let report = try explainingVariables { try measure(session, fetches, targets, arrays) }
      for (tensor, file) in zip(report.results, files) {
        if let file { try NPY.write(tensor, to: file) }
      }
      print(json ? report.json(fetches, files).text : report.text(fetches, files))
    }
  }

  private func measure(
    _ session: Session, _ fetches: [Output], _ targets: [GraphNode], _ arrays: [(value: Output, tensor: Tensor)]
  ) throws -> RunReport {
    let step = try session.makeCallable(fetches: fetches, targets: targets, feeds: arrays.map(\.value))
    let tensors = arrays.map(\.tensor)
    let trace = trace == nil && !profile ? nil : RunTrace()
    var report = RunReport()
    for i in 0..<`repeat` {
      let options = RunOptions(trace: i == `repeat` - 1 ? trace : nil)
      let start = ContinuousClock.now
      report.results = try step.run(tensors, options: options)
      report.times.append((ContinuousClock.now - start) / .seconds(1))
    }
    report.compilation = session.statistics.compilations.last
    if let path = self.trace, let trace { try writeText(trace.chromeJSON, to: path) }
    if profile, let trace { FileHandle.standardError.write(Data("\(trace.profile)\n".utf8)) }
    return report
  }

  /// Says how a variable gets its value here, where the session would say how a program gives it one.
  private func explainingVariables<R>(_ work: () throws -> R) throws -> R {
    do {
      return try work()
    } catch var mistake as Diagnostic where mistake.message.hasSuffix("is read before it has a value") {
      mistake.hint = "name the node that gives it one: --init NAME; or save the model with its variables frozen"
      throw mistake
    }
  }

  /// One file a fetch, named after it; nil without `--out`.
  private func outputFiles(_ fetches: [Output]) throws -> [String?] {
    guard let out else { return fetches.map { _ in nil } }
    do {
      try FileManager.default.createDirectory(atPath: out, withIntermediateDirectories: true)
    } catch {
      throw Diagnostic("the folder \(out) cannot be made: \(error.localizedDescription)")
    }
    var taken: [String: String] = [:]
    return try fetches.map { fetch in
      let name = String(fetch.name.map { $0 == "/" || $0 == ":" ? "_" : $0 })
      if let other = taken.updateValue(fetch.name, forKey: name), other != fetch.name {
        throw Diagnostic("'\(other)' and '\(fetch.name)' would be written to one file, \(name).npy")
      }
      return "\(out)/\(name).npy"
    }
  }
}

/// Writes a text file.
func writeText(_ text: String, to path: String) throws {
  do {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
  } catch {
    throw Diagnostic("\(path) cannot be written: \(error.localizedDescription)")
  }
}
