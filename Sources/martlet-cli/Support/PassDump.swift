import Foundation
import Martlet

/// Writes the program after each pass to a folder: `02-PromoteState.mtg` and `02-PromoteState.dot`.
struct PassDump {
  let folder: String

  /// - Throws: a diagnostic if the folder cannot be made.
  init(folder: String) throws {
    self.folder = folder
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw Diagnostic("the folder \(folder) cannot be made: \(error.localizedDescription)")
    }
  }

  var instrument: DumpInstrument {
    let folder = folder
    return DumpInstrument { number, pass, program in
      let path = "\(folder)/\(number < 10 ? "0" : "")\(number)-\(pass)"
      try writeText(GraphPrinter(elementLimit: 64).print(program), to: "\(path).mtg")
      try writeText(GraphDOT().text(program, title: "\(number) \(pass)"), to: "\(path).dot")
    }
  }
}
