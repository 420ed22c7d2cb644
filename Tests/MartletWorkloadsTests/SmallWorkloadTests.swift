import Martlet
import Testing

@testable import MartletWorkloads

@Suite(.serialized) struct SmallWorkloadTests {
  /// Compiled for the processor, so that the passes for library calls run too.
  @Test(arguments: SmallWorkload.all) func everyRewriteIsProved(workload: SmallWorkload) throws {
    let recipe = workload.model().recipe()
    let proof = Proof()
    let session = try Session(recipe.graph, options: SessionOptions(instruments: [VerifyInstrument(), proof]))
    let feeds = recipe.feeds.map { ($0, TensorType($0.elementType, $0.shape)) }
    _ = try session.program(
      for: recipe.fetches, targets: recipe.targets, feeds: Dictionary(uniqueKeysWithValues: feeds))
    // Programs are all small enough, though not every convolution that a rule rewrites is.
    for entry in proof.report.passes {
      if case .skipped(let reason) = entry.outcome { Issue.record("\(entry.pass): \(reason)") }
    }
    #expect(proof.report.rules.allSatisfy { $0.proved > 0 || $0.skipped == 0 }, "\(proof.report)")
  }

  /// The first runs of two sessions each with one and two threads.
  @Test(arguments: SmallWorkload.all) func resultsHaveTheSameBits(workload: SmallWorkload) throws {
    var found: [UInt64] = []
    for threads in [1, 2, 1, 2] {
      let options = Workload.Options(session: SessionOptions(threads: threads, isDeterministic: true))
      let execution = try workload.model().execution(options)
      try execution.run(RunOptions())
      found.append(try execution.check().bitPattern)
    }
    #expect(Set(found).count == 1)
  }
}
