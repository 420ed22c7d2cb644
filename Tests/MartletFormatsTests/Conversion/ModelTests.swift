import Martlet
import Testing

/// Models that TensorFlow has written are loaded and run to the same numbers.
@Suite struct ModelTests {
  static let folder = Fixture.path("Models")
  static let models: [ModelFixture] = {
    do { return try ModelFixture.load(folder) } catch { preconditionFailure("\(error)") }
  }()

  @Test(arguments: models) func computesWhatTensorFlowDoes(_ model: ModelFixture) throws {
    try model.check(try Graph(loading: "\(Self.folder)/\(model.name).pb"))
  }

  /// Written and loaded again, in each form, a model still computes the same.
  @Test(arguments: models, ["pb", "pbtxt", "mtg"]) func survivesSaving(_ model: ModelFixture, _ form: String) throws {
    let graph = try Graph(loading: "\(Self.folder)/\(model.name).pb")
    try Fixture.withTemporaryFolder { folder in
      let path = "\(folder)/model.\(form)"
      try graph.save(path)
      let first = try Fixture.contents(path)
      let again = try Graph(loading: path)
      try model.check(again, form)
      try again.save(path)
      #expect(try Fixture.contents(path) == first, "\(model) as \(form)")
    }
  }

  @Test(arguments: models) func pruningKeepsWhatOutputsNeed(_ model: ModelFixture) throws {
    let graph = try Graph(loading: "\(Self.folder)/\(model.name).pb")
    let outputs = try model.outputs.keys.sorted().map { try #require(graph.output(named: $0)) }
    let feeds = try model.feeds.keys.map { try #require(graph.output(named: $0)) }
    let record = try graph.graphDef(outputs: outputs + feeds)
    #expect(record.nodes.count <= graph.nodeCount)
    try model.check(try Graph(record))
  }
}
