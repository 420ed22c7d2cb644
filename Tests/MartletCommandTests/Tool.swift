import Foundation
import Martlet
import Testing

/// The command line tool, as it lies beside the tests, in a folder of its own.
final class Tool: Sendable {
  struct Result {
    var status: Int32
    var output: String
    var messages: String

    /// Standard output as one JSON object.
    func json() throws -> [String: Any] {
      try #require(try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
    }
  }

  /// Removed with everything in it when the test ends.
  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  /// Runs `martlet` in the folder.
  func run(_ arguments: String...) throws -> Result { try run(arguments) }

  /// - Parameter environment: variables beside those of the test.
  func run(_ arguments: [String], environment: [String: String] = [:]) throws -> Result {
    let process = Process()
    process.executableURL = try #require(Bundle.main.executableURL).deletingLastPathComponent()
      .appendingPathComponent("martlet")
    process.arguments = arguments
    process.currentDirectoryURL = folder
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    // Files, since a full pipe would stop the tool.
    let files = try ["output", "messages"].map { name in
      let file = folder.appendingPathComponent(".\(name)-\(UUID().uuidString)")
      #expect(FileManager.default.createFile(atPath: file.path, contents: nil))
      return (file, try FileHandle(forWritingTo: file))
    }
    process.standardOutput = files[0].1
    process.standardError = files[1].1
    try process.run()
    process.waitUntilExit()
    return Result(status: process.terminationStatus, output: try text(files[0].0), messages: try text(files[1].0))
  }

  func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
  func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }
  func text(_ name: String) throws -> String { try text(folder.appendingPathComponent(name)) }
  private func text(_ file: URL) throws -> String { try String(contentsOf: file, encoding: .utf8) }

  // MARK: Models

  /// `layer/y` is 2x + 1 and `sum` its sum, of an `x` with rows of three.
  func saveModel(_ name: String = "model.mtg") throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, 3], name: "x")
    let y = graph.withNameScope("layer") { identity(x * 2 + 1, name: "y") }
    _ = sum(y, axes: [0, 1], name: "sum")
    try graph.save(path(name))
  }

  /// `update` multiplies the variable `w`, at first 3, by `x`; `value` is what it was before.
  func saveVariableModel(_ name: String = "variable.mtg") throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [], name: "x")
    let w = graph.variable("w", [], .constant(3))
    let value = identity(w, name: "value")
    graph.withControlDependencies([value.node]) {
      _ = w.variable?.assign(w * x, name: "update")
    }
    _ = graph.initializer
    try graph.save(path(name))
  }

  func saveArray(_ tensor: Tensor, _ name: String) throws { try NPY.write(tensor, to: path(name)) }
}
