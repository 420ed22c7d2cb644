import ArgumentParser
import Foundation
import Martlet

struct OptimizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "optimize", abstract: "Runs the passes and writes what they make of a model.",
    discussion: """
      A GraphDef can hold the graph up to the canonical form, which is where the passes stop for one. The text form of a \
      later one is for reading only. Prints what each pass took and how often each rule fired; with --json as {"passes": \
      [{"name", "seconds", "nodes"}], "rules": [{"name", "firings"}]}, and "difference" of a pass with --compare.
      """)

  @ArgumentParser.Argument(help: ArgumentHelp("The model to read, recognised by its content.", valueName: "IN"))
  var input: String
  @ArgumentParser.Argument(help: ArgumentHelp("The file to write: .pb, .pbtxt or .mtg.", valueName: "OUT"))
  var output: String
  @Option(help: ArgumentHelp("The last form to reach: graph, typed, canonical, placed or fused.", valueName: "FORM"))
  var stopAfter: FormArgument?
  @Option(
    help: ArgumentHelp("Writes the program after each pass to this folder, as text and in DOT.", valueName: "DIR"))
  var dump: String?
  @Flag(help: "Interprets the program before and after each pass, on made-up arrays, and compares the results.")
  var compare = false
  @Flag(help: "Runs what each rule and pass rewrites, before and after, on made-up arrays, up to the first difference.")
  var prove = false
  @OptionGroup var rules: RuleOptions
  @OptionGroup var selection: SelectionOptions
  @OptionGroup var shapes: ShapeOptions
  @Flag(help: "Prints one JSON object.")
  var json = false

  private static let lastFormOfGraphDef = Form.canonical

  func validate() throws {
    if try ModelForm(writing: output) != .martlet, let form = stopAfter?.form, form > Self.lastFormOfGraphDef {
      throw ValidationError("a GraphDef can hold the graph at most up to the form \(Self.lastFormOfGraphDef)")
    }
  }

  func run() throws {
    try reportingFailure {
      let kind = try ModelForm(writing: output)
      let form = stopAfter?.form ?? (kind == .martlet ? .fused : Self.lastFormOfGraphDef)
      let interface = ModelInterface(try Graph(loadingModel: input))
      let fetches = try selection.fetches(of: interface)
      let targets = try selection.targets(of: interface)
      let types = try shapes.feedTypes(interface, fetches, targets)

      let statistics = StatisticsInstrument()
      let comparison = NumericComparison()
      var options = SessionOptions(disabledRules: Set(rules.disabled))
      options.instruments = [VerifyInstrument(refusesWarnings: false), statistics]
      if let dump { options.instruments.append(try PassDump(folder: dump).instrument) }
      let proof = Proof()
      if prove { options.instruments.append(proof) }
      if compare { options.instruments.append(comparison.instrument) }
      let session = try Session(interface.graph, options: options)
      let program = try session.program(for: fetches, targets: targets, feeds: types, until: form)
      if form <= .placed {
        try Graph(program, outputNames: fetches.map(\.name)).save(output)
      } else {
        try writeText(GraphPrinter().print(program), to: output)
      }
      let report = PassReport(statistics: statistics, comparison: compare ? comparison : nil)
      print(json ? report.json.text : report.text)
      if prove, !json { print(proof.report) }
    }
  }
}

/// A form by its name.
struct FormArgument: ExpressibleByArgument {
  var form: Form

  init?(argument: String) {
    guard let form = Form(rawValue: argument) else { return nil }
    self.form = form
  }

  static var allValueStrings: [String] { Form.allCases.map(\.rawValue) }
}
