import Martlet
import MartletTestSupport
import Testing

@Suite struct MemoryUseTests {
  // Two products of 100 × 100 floats, 40,000 bytes each, are in memory while a third is computed from them.
  @Test func namesWhatIsInMemoryAtTheBusiestStep() throws {
    let x = Graph().placeholder(.float32, shape: [100, 100], name: "x")
    let a = matMul(x, x, name: "a")
    let b = matMul(a, x, name: "b")
    let line = #line + 1
    let c = matMul(a, b, name: "c")
    let result = sum(matMul(c, x, name: "d"), name: "sum")
    let plan = try Session(x.graph, options: .cpu).plan(for: [result], feeds: [x: TensorType(.float32, [100, 100])])
    let use = MemoryUse(plan)
    #expect(use.arenaBytes == plan.arenaBytes)
    #expect(use.fetchedBytes == 4)
    #expect(use.feedBytes == 40_000)
    // The axes that are summed over.
    #expect(use.constantBytes <= 64 && use.variableBytes == 0)
    #expect(use.peakBytes == plan.peakBytes)
    #expect(use.busiest?.name == "c")
    #expect(use.busiest?.site.resolved?.line == line)
    let arrays = use.values.filter { $0.type != nil && $0.byteCount > 4 }
    #expect(Set(arrays.map(\.name)) == ["a:0", "b:0", "c:0"] || Set(arrays.map(\.name)) == ["a", "b", "c"])
    #expect(arrays.allSatisfy { $0.byteCount == 40_000 })
    #expect(use.busiestBytes >= 120_000 && use.busiestBytes <= use.arenaBytes)
  }

  @Test func looksIntoLoopsAndBranches() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [64, 64], name: "x")
    let results = whileLoop([graph.constant(0 as Int32), x]) { values in
      values[0] .< graph.constant(3 as Int32)
    } body: { values in
      let inner = matMul(values[1], values[1], name: "inner")
      return [values[0] + graph.constant(1 as Int32), matMul(inner, inner, name: "outer") * 0.5]
    }
    let plan = try Session(graph, options: .cpu).plan(
      for: [sum(results[1])], feeds: [x: TensorType(.float32, [64, 64])])
    let use = MemoryUse(plan)
    #expect(use.busiestBytes <= use.arenaBytes)
    #expect(use.values.contains { $0.name.contains("inner") })
  }
}

/// A budget for memory changes what is kept and computed again, and no number.
@Suite struct RematerializationTests {
  /// The loss of a deep network and its gradients.
  private static func network(depth: Int) throws -> (x: Output, fetches: [Output]) {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [256, 64], name: "x")
    var h = x
    var weights: [Output] = []
    for layer in 0..<depth {
      let w = graph.constant(
        Tensor((0..<64 * 64).map { Float(($0 * 31 + layer * 7) % 41 - 20) / 160 }, shape: [64, 64]), name: "w\(layer)")
      weights.append(w)
      h = tanh(matMul(h, w, name: "product\(layer)"), name: "layer\(layer)")
    }
    let loss = mean(square(h))
    return (x, [loss] + (try gradients(of: [loss], withRespectTo: weights)).compactMap { $0 })
  }

  private static let feed = Tensor((0..<256 * 64).map { Float($0 % 101 - 50) / 50 }, shape: [256, 64])

  @Test func fitsTheBudgetWithTheSameNumbers() throws {
    let (x, fetches) = try Self.network(depth: 24)
    let free = try Session(x.graph, options: .cpu)
    let full = try free.plan(for: fetches, feeds: [x: Self.feed.type])
    let fetched = full.peakBytes - full.arenaBytes
    let budget = fetched + full.arenaBytes / 2
    let bounded = try Session(x.graph, options: SessionOptions(device: .cpu, memoryBudget: budget))
    let plan = try bounded.plan(for: fetches, feeds: [x: Self.feed.type])
    #expect(plan.peakBytes <= budget)
    #expect(plan.instructionCount > full.instructionCount)
    #expect(PlanVerifier.violations(of: plan) == [])
    let expected = try free.run(fetches, feeds: [x: Self.feed])
    let found = try bounded.run(fetches, feeds: [x: Self.feed])
    for (a, b) in zip(found, expected) { expectClose(a, b, relative: 1e-5, absolute: 1e-6) }
  }

  @Test func aBudgetThatSufficesChangesNothing() throws {
    let (x, fetches) = try Self.network(depth: 4)
    let full = try Session(x.graph, options: .cpu).plan(for: fetches, feeds: [x: Self.feed.type])
    let same = try Session(x.graph, options: SessionOptions(device: .cpu, memoryBudget: full.peakBytes))
      .plan(for: fetches, feeds: [x: Self.feed.type])
    #expect("\(same)" == "\(full)")
  }

  @Test func aBudgetThatCannotBeMetNamesWhatIsLarge() throws {
    let (x, fetches) = try Self.network(depth: 4)
    let session = try Session(x.graph, options: SessionOptions(device: .cpu, memoryBudget: 100_000))
    let error = #expect(throws: Diagnostic.self) { try session.run(fetches, feeds: [x: Self.feed]) }
    #expect(error?.message == "a run takes more memory than its budget")
    #expect(error?.required == "at most 100000 bytes")
    #expect(error?.notes.isEmpty == false)
    #expect(error?.notes.allSatisfy { $0.message.contains(" bytes: ") } == true)
  }

  // Random numbers that are drawn again are the same ones.
  @Test func masksAreDrawnAgainAsTheyWere() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [512, 64], name: "x")
    let w = graph.constant(Tensor((0..<4096).map { Float($0 % 17 - 8) / 64 }, shape: [64, 64]))
    var h = x
    for _ in 0..<8 {
      let mask = graph.randomUniform([512, 64], seed: 7) .> 0.5
      h = matMul(select(mask, h * 2, zerosLike(h)), w)
    }
    let loss = mean(square(h))
    let gradient = try gradient(of: loss, withRespectTo: x)
    let feed = Tensor((0..<512 * 64).map { Float($0 % 13) / 13 }, shape: [512, 64])
    let free = try Session(graph, options: .cpu)
    let full = try free.plan(for: [loss, gradient], feeds: [x: feed.type])
    let budget = full.peakBytes - full.arenaBytes / 3
    let bounded = try Session(graph, options: SessionOptions(device: .cpu, memoryBudget: budget))
    #expect(try bounded.plan(for: [loss, gradient], feeds: [x: feed.type]).peakBytes <= budget)
    let expected = try free.run([loss, gradient], feeds: [x: feed])
    let found = try bounded.run([loss, gradient], feeds: [x: feed])
    for (a, b) in zip(found, expected) { expectClose(a, b, relative: 1e-5, absolute: 1e-6) }
  }
}
