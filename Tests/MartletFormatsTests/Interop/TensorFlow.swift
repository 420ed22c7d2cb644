import Foundation
import MartletGraph
import MartletTensors
import Testing

@testable import MartletFormats

/// TensorFlow as a program of its own. Needs the path of a Python that has it in `MARTLET_TF_PYTHON`.
enum TensorFlow {
  static let python = ProcessInfo.processInfo.environment["MARTLET_TF_PYTHON"]
  static var isAvailable: Bool { python != nil }

  /// A graph to be run.
  struct Run {
    var label: String
    var graph: GraphDefRecord
    var feeds: [String: Tensor] = [:]
    /// Nodes that run first, one after the other.
    var targets: [String] = []
    var fetches: [String]
  }

  /// What a run gives: arrays, or the message of its failure.
  typealias Outcome = Result<[Tensor], Failure>
  struct Failure: Error, CustomStringConvertible { var description: String }

  private struct Work: Encodable {
    var graph: String
    var feeds: [String: String]
    var targets: [String]
    var fetches: [String]
    var out: [String]
  }

  /// Runs graphs, all in one process.
  static func run(_ runs: [Run]) throws -> [Outcome] {
    try Fixture.withTemporaryFolder { folder in
      var works: [Work] = []
      for (i, run) in runs.enumerated() {
        try run.graph.write(to: "\(folder)/\(i).pb")
        var feeds: [String: String] = [:]
        for (j, name) in run.feeds.keys.sorted().enumerated() {
          feeds[name] = "\(i)_feed\(j).npy"
          try NPY.write(run.feeds[name]!, to: "\(folder)/\(i)_feed\(j).npy")
        }
        works.append(
          Work(
            graph: "\(i).pb", feeds: feeds, targets: run.targets, fetches: run.fetches,
            out: run.fetches.indices.map { "\(i)_out\($0).npy" }))
      }
      try JSONEncoder().encode(works).write(to: URL(filePath: folder + "/runs.json"))
      let status = try script("run_graphs.py", [folder]).status
      guard status == 0 else { throw Failure(description: "run_graphs.py ended with status \(status)") }
      return try works.map { work in
        if let error = try? String(contentsOfFile: "\(folder)/\(work.out[0]).error", encoding: .utf8) {
          return .failure(Failure(description: error))
        }
        return .success(try work.out.map { try NPY.read("\(folder)/\($0)") })
      }
    }
  }

  /// Runs one of the project's Python programs.
  static func script(_ name: String, _ arguments: [String]) throws -> (status: Int32, output: String) {
    let process = Process()
    let pipe = Pipe()
    process.executableURL = URL(filePath: try #require(python))
    process.arguments =
      [Fixture.folder.deletingLastPathComponent().deletingLastPathComponent().path + "/Scripts/interop/" + name]
      + arguments
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, output)
  }
}
