import ArgumentParser
import Martlet

struct DotCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "dot", abstract: "Draws a model in Graphviz's DOT.",
    discussion: "Make a picture of it with Graphviz: martlet dot model.pb | dot -Tsvg > model.svg")

  enum Stage: String, ExpressibleByArgument, CaseIterable { case graph, optimized, plan }

  @OptionGroup var model: ModelArgument
  @Option(help: "The graph as it is, what the passes make of it, or the plan of a run.")
  var stage = Stage.graph
  @Option(
    name: .shortAndLong, help: ArgumentHelp("Where to write it; standard output by default.", valueName: "FILE.dot"))
  var output: String?
  @OptionGroup var selection: SelectionOptions
  @OptionGroup var shapes: ShapeOptions
  @Option(help: ArgumentHelp("Above how many nodes a graph is drawn in a simpler way.", valueName: "N"))
  var nodes = GraphDOT().maximumNodes

  func run() throws {
    try reportingFailure {
      let text = try drawing(ModelInterface(try model.load()))
      if let output { try writeText(text, to: output) } else { print(text, terminator: "") }
    }
  }

  private func drawing(_ interface: ModelInterface) throws -> String {
    let name = model.model.split(separator: "/").last.map(String.init) ?? model.model
    let fetches = try selection.fetches(of: interface)
    let targets = try selection.targets(of: interface)
    var drawing = GraphDOT()
    drawing.maximumNodes = nodes
    if stage == .graph {
      return drawing.text(interface.graph, outputs: selection.fetches.isEmpty ? [] : fetches, title: name)
    }
    let types = try shapes.feedTypes(interface, fetches, targets)
    let session = try Session(interface.graph)
    if stage == .optimized {
      let program = try session.program(for: fetches, targets: targets, feeds: types)
      return drawing.text(program, title: "\(name), optimized")
    }
    let plan = try session.plan(for: fetches, targets: targets, feeds: types)
    return PlanDOT().text(plan, title: "\(name), plan")
  }
}
