import Foundation
import MartletTensors
import Testing

@testable import MartletFormats

/// TensorFlow reads what Martlet writes. Needs the path of a Python with TensorFlow in `MARTLET_TF_PYTHON`.
@Suite(.enabled(if: TensorFlow.isAvailable))
struct RecordInteropTests {
  @Test(arguments: ["attributes", "functions"]) func tensorFlowReads(_ name: String) throws {
    let record = try GraphDefRecord(contentsOf: Fixture.path("GraphDef/\(name).pb"))
    try Fixture.withTemporaryFolder { folder in
      try record.write(to: folder + "/graph.pb")
      try record.write(to: folder + "/graph.pbtxt", format: .text)
      let process = Process()
      process.executableURL = URL(filePath: try #require(ProcessInfo.processInfo.environment["MARTLET_TF_PYTHON"]))
      process.arguments = [
        Fixture.path("GraphDef/compare.py"), Fixture.path("GraphDef/\(name).pb"), folder + "/graph.pb",
        folder + "/graph.pbtxt",
      ]
      try process.run()
      process.waitUntilExit()
      #expect(process.terminationStatus == 0)
    }
  }
}
