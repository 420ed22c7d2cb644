import Foundation
import Martlet
import MartletTestSupport
import Testing

/// Every rewrite of every model there is leaves the numbers as they are.
@Suite struct ProvenModelsTests {
  /// Compiles for the processor, so that the passes for library calls run too.
  private func prove(
    _ graph: Graph, _ fetches: [Output], _ targets: [GraphNode] = [], feeds: [Output: TensorType] = [:]
  ) throws -> ProofReport {
    let proof = Proof()
    let options = SessionOptions(device: .cpu, threads: 1, instruments: [VerifyInstrument(), proof])
    _ = try Session(graph, options: options).program(for: fetches, targets: targets, feeds: feeds)
    return proof.report
  }

  @Test(arguments: 0..<8 as Range<UInt64>) func randomGraphs(seed: UInt64) throws {
    let random = RandomGraph(seed: seed)
    let report = try prove(random.graph, random.fetches, random.targets, feeds: random.feeds.mapValues(\.type))
    #expect(report.passes.contains { if case .proved = $0.outcome { true } else { false } })
  }

  @Test(arguments: 0..<8 as Range<UInt64>) func randomGraphsOfAllTypes(seed: UInt64) throws {
    let random = MixedGraph(seed: seed)
    _ = try prove(random.graph, random.fetches, random.targets, feeds: random.feeds.mapValues(\.type))
  }

  /// What `models.json` says of a model that TensorFlow has written.
  struct Model: Decodable, Sendable, CustomStringConvertible {
    struct Value: Decodable, Sendable {
      var shape: [Int]
    }
    var name: String
    var feeds: [String: Value]
    var outputs: [String: Value]
    var description: String { name }
  }

  private static let folder = packageFolder.appending(path: "Tests/Fixtures/Models").path

  private static func fixtures() throws -> [Model] {
    try JSONDecoder().decode([Model].self, from: try Data(contentsOf: URL(filePath: "\(folder)/models.json")))
  }

  @Test(arguments: try fixtures()) func models(model: Model) throws {
    let graph = try Graph(loading: "\(Self.folder)/\(model.name).pb")
    var feeds: [Output: TensorType] = [:]
    for (name, array) in model.feeds {
      let output = try #require(graph.output(named: name))
      feeds[output] = TensorType(output.elementType, Shape(array.shape))
    }
    let fetches = try model.outputs.keys.sorted().map { try #require(graph.output(named: $0)) }
    let report = try prove(graph, fetches, feeds: feeds)
    #expect(report.passes.contains { if case .proved = $0.outcome { true } else { false } }, "\(report)")
  }
}
