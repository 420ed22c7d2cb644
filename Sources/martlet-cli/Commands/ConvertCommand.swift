import ArgumentParser
import Martlet

struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert", abstract: "Writes a model in another form.",
    discussion: "OUT ends in .pb or .pbtxt for a GraphDef in binary or as text, or in .mtg for Martlet's text form.")

  @ArgumentParser.Argument(help: ArgumentHelp("The model to read, recognised by its content.", valueName: "IN"))
  var input: String
  @ArgumentParser.Argument(help: ArgumentHelp("The file to write.", valueName: "OUT"))
  var output: String

  func validate() throws { _ = try ModelForm(writing: output) }

  func run() throws {
    try reportingFailure { try Graph(loadingModel: input).save(output) }
  }
}

/// The forms in which a model can be written, by the ends of file names.
enum ModelForm: String, CaseIterable {
  case binary = ".pb"
  case text = ".pbtxt"
  case martlet = ".mtg"

  /// - Throws: a usage error for another name.
  init(writing path: String) throws {
    guard let form = Self.allCases.first(where: { path.hasSuffix($0.rawValue) }) else {
      throw ValidationError("\(path): a file to write ends in \(Self.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    self = form
  }
}
