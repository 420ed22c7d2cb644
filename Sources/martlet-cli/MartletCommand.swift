import ArgumentParser

@main
struct MartletCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet",
    abstract: "Compiles, runs, draws and converts computation graphs.",
    discussion: """
      MODEL is a GraphDef (.pb, .pbtxt) or a graph in Martlet's text form (.mtg), recognised by its content. NAME is a \
      node, or node:1 for its second result.

      The exit status is 0, 1 if the work failed, or 64 for wrong usage.
      """,
    subcommands: [
      RunCommand.self, InspectCommand.self, DotCommand.self, ConvertCommand.self, OptimizeCommand.self,
      BenchCommand.self, DoctorCommand.self,
    ])
}
