import ArgumentParser
import Foundation

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Looks at the processor and the libraries, and tells what is wrong.",
    discussion: "The exit status is 1 if something is missing without which nothing runs.")

  @Flag(help: "Prints one JSON object.")
  var json = false

  func run() throws {
    let examination = Examination()
    print(json ? examination.json.text : examination.text)
    if !examination.canRun { throw ExitCode.failure }
  }
}
