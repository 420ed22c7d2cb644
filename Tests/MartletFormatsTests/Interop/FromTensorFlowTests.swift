import Martlet
import Testing

/// Larger models, written by TensorFlow just before.
@Suite(.enabled(if: TensorFlow.isAvailable)) struct FromTensorFlowTests {
  @Test func modelsComputeTheSame() throws {
    try Fixture.withTemporaryFolder { folder in
      let status = try TensorFlow.script("make_models.py", [folder, "8"]).status
      try #require(status == 0)
      for model in try ModelFixture.load(folder) { try model.check(try Graph(loading: "\(folder)/\(model.name).pb")) }
    }
  }
}
