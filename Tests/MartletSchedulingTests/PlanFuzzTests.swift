import Martlet
import MartletTestSupport
import Testing

/// Plans of random graphs share memory as far as they can and never too much.
@Suite struct PlanFuzzTests {
  @Test(arguments: 0..<30)
  func plansKeepWhatIsStillNeeded(seed: UInt64) throws {
    let random = RandomGraph(seed: seed)
    for isFusing in [false, true] {
      let session = try Session(
        random.graph, options: SessionOptions(device: .cpu, isFusing: isFusing, instruments: [VerifyInstrument()]))
      let plan = try session.plan(
        for: random.fetches, targets: random.targets, feeds: random.feeds.mapValues(\.type))
      #expect(PlanVerifier.violations(of: plan) == [], "seed \(seed), fusing \(isFusing)\n\(plan)")
    }
  }

  /// Machine code, libraries and shared memory against the interpreter with every operation by itself.
  @Test(arguments: 0..<12)
  func machineCodeAgreesWithTheInterpreter(seed: UInt64) throws {
    let random = RandomGraph(seed: 1000 + seed, operationCount: 20)
    var results: [[Tensor]] = []
    let settings = [
      SessionOptions(device: .interpreter, isFusing: false), SessionOptions(device: .cpu, isFusing: false),
      SessionOptions(device: .cpu),
    ]
    for options in settings {
      let session = try Session(random.graph, options: options)
      for (handle, value) in random.variables { try session.assign(handle, value) }
      // The second run finds the memory that the first has left.
      var found = try session.run(random.fetches, feeds: random.feeds, targets: random.targets)
      found += try session.run(random.fetches, feeds: random.feeds, targets: random.targets)
      for (handle, _) in random.variables { found.append(try session.value(of: handle)) }
      results.append(found)
    }
    for other in results.dropFirst() {
      for (a, b) in zip(results[0], other) { expectClose(b, a, relative: 1e-4, absolute: 1e-5, "seed \(seed)") }
    }
  }

  @Test func theSameGraphGivesTheSamePlan() throws {
    let texts = try (0..<2).map { _ in
      let random = RandomGraph(seed: 7)
      let session = try Session(random.graph, options: .cpu)
      return try session.plan(
        for: random.fetches, targets: random.targets, feeds: random.feeds.mapValues(\.type)
      ).description
    }
    #expect(texts[0] == texts[1])
  }

  /// A verifier that finds nothing proves nothing unless it finds what is wrong.
  @Test func theVerifierFindsSharedMemory() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [16, 16], name: "x")
    let a = matMul(x, x)
    let b = matMul(a, x)
    let c = matMul(a, b)
    let session = try Session(graph, options: .cpu)
    var plan = try session.plan(for: [c], feeds: [x: TensorType(.float32, [16, 16])])
    #expect(PlanVerifier.violations(of: plan) == [])
    #expect(plan.arenaBytes == 2 * 1024)
    let second = try #require(plan.slots.firstIndex { $0.place == .arena(1024) })
    plan.slots[second].place = .arena(0)
    #expect(!PlanVerifier.violations(of: plan).isEmpty)
    plan.slots[second].place = .arena(2048)
    #expect(!PlanVerifier.violations(of: plan).isEmpty)
  }
}
