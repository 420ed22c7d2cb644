import MartletGraph
import MartletOperations
import MartletTestSupport
import Testing

@Suite struct GradientContractTests {
  /// Every operation of the catalog, so that a new one cannot escape.
  static let names = Catalog.standard.types.map { $0.schema.name }

  /// Operations that say that they cannot be differentiated yet.
  static let refused = ["While", "StatelessWhile"]

  @Test(arguments: names)
  func derivativesAreRight(of name: String) throws {
    let type = try #require(Catalog.standard.type(named: name))
    let operation = type.init()
    if case .none(let reason) = operation.differentiation {
      #expect(!reason.isEmpty, "\(name) must say why it is not differentiated")
      return
    }
    if Self.refused.contains(name) { return }
    // The value read is the variable's own; the walk through the graph knows that.
    if operation.stateRole == .read { return }
    let samples = ContractSamples.standard.samples(of: type)
    #expect(
      !samples.isEmpty, "\(name) has neither samples, in MartletTestSupport, nor a reason not to be differentiated")
    for sample in samples {
      try GradientCheck().check(at: sample.point, sample.build)
    }
  }
}
