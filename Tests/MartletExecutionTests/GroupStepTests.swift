import Martlet
import MartletTestSupport
import Testing

/// Small instructions that do not need each other are dealt to the workers.
@Suite struct GroupStepTests {
  /// Chains of small operations on different arrays, each operation a kernel of its own.
  private struct Chains {
    let graph = Graph()
    var feeds: [Output: Tensor] = [:]
    var results: [Output] = []
    var options = SessionOptions(device: .cpu, threads: 2, isFusing: false)

    init(count: Int, length: Int, size: Int = 32) {
      for chain in 0..<count {
        let x = graph.placeholder(.float32, shape: [size, size], name: "x\(chain)")
        let elements = (0..<size * size).map { Float($0 % 17 - 8) / Float(chain + 9) }
        feeds[x] = Tensor(elements, shape: [size, size])
        results.append((0..<length).reduce(x) { y, step in step % 2 == 0 ? tanh(y) : y * 1.5 + y })
      }
    }

    func plan() throws -> ExecutionPlan {
      try Session(graph, options: options).plan(for: results, feeds: feeds.mapValues(\.type))
    }
  }

  @Test func chainsAreDealtToTheWorkers() throws {
    let chains = Chains(count: 8, length: 60)
    let plan = try chains.plan()
    #expect(PlanVerifier.violations(of: plan) == [])
    let group = try #require(plan.blocks[0].groups.first)
    #expect(Set(group.workers) == [0, 1])
    // Each worker goes through four of the chains, and none waits for the other.
    #expect(group.workers.count { $0 == 0 } * 2 == group.workers.count)
    #expect(group.waits.isEmpty)
    #expect("\(plan)".contains("[0] group 0 worker 0: Tanh"))

    let session = try Session(chains.graph, options: chains.options)
    let trace = RunTrace()
    let found = try session.run(chains.results, feeds: chains.feeds, options: RunOptions(trace: trace))
    let interpreter = try Session(chains.graph, options: SessionOptions(device: .interpreter))
    let expected = try interpreter.run(chains.results, feeds: chains.feeds)
    for (a, b) in zip(found, expected) { expectClose(a, b, relative: 1e-5, absolute: 1e-6) }
    #expect(trace.events.count == plan.instructionCount)
    #expect(Set(trace.events.map(\.worker)) == [0, 1])
  }

  /// Products that the libraries do not share among threads are dealt like kernels.
  @Test func productsOfMiddlingSizeAreDealt() throws {
    var chains = Chains(count: 8, length: 0, size: 48)
    chains.results = chains.results.map { x in (0..<6).reduce(x) { y, _ in tanh(matMul(y, x)) } }
    // Small numbers, whose rounding six products do not magnify.
    let elements = (0..<48 * 48).map { Float($0 % 17 - 8) / 50 }
    chains.feeds = chains.feeds.mapValues { _ in Tensor(elements, shape: [48, 48]) }
    chains.options.isFusing = true
    let plan = try chains.plan()
    #expect(PlanVerifier.violations(of: plan) == [])
    let block = plan.blocks[0]
    let dealt = block.groups.flatMap { group in
      zip(group.instructions, group.workers).filter { place, _ in
        if case .library = block.instructions[place].action { true } else { false }
      }
    }
    let hasLibrary = block.instructions.contains { if case .library = $0.action { true } else { false } }
    #expect(dealt.count == (hasLibrary ? 48 : 0))
    if hasLibrary { #expect(Set(dealt.map(\.1)) == [0, 1]) }
    let trace = RunTrace()
    let found = try Session(chains.graph, options: chains.options)
      .run(chains.results, feeds: chains.feeds, options: RunOptions(trace: trace))
    let expected = try Session(chains.graph, options: SessionOptions(device: .interpreter))
      .run(chains.results, feeds: chains.feeds)
    for (a, b) in zip(found, expected) { expectClose(a, b, relative: 1e-4, absolute: 1e-5) }
    #expect(Set(trace.events.map(\.worker)) == [0, 1])
  }

  /// One worker, one chain, or too little work: nothing to deal.
  @Test(arguments: [(1, 8, 60), (2, 1, 480), (2, 8, 1)])
  func otherwiseThereAreNoGroups(threads: Int, count: Int, length: Int) throws {
    var chains = Chains(count: count, length: length)
    chains.options.threads = threads
    #expect(try chains.plan().blocks.allSatisfy { $0.groups.isEmpty })
  }

  /// What all chains need is waited for by the other worker, and what needs all of them waits for their ends.
  @Test func workersWaitWhereChainsBeginAndEnd() throws {
    var chains = Chains(count: 1, length: 1)
    let fork = chains.results[0]
    let ends = (0..<8).map { chain in (0..<60).reduce(fork * Double(chain + 1)) { y, _ in tanh(y + fork) } }
    chains.results = [addN(ends)]
    let plan = try chains.plan()
    #expect(PlanVerifier.violations(of: plan) == [])
    let block = plan.blocks[0]
    let group = try #require(block.groups.first)
    #expect(block.groups.count == 1)
    #expect(group.instructions == block.instructions.indices)
    // One wait of the other worker for the fork, one of the join's worker for the other's share.
    #expect(group.waits.first.map { group.workers[$0.instruction] != group.workers[0] && $0.count == 1 } == true)
    let last = try #require(group.waits.last)
    #expect(last.instruction == group.workers.count - 1)
    #expect(last.count == group.workers.count { $0 == last.worker })
    #expect("\(plan)".contains("worker \(1 - last.worker) after \(last.count) of worker \(last.worker): AddN"))
    for threads in [1, 2] {
      chains.options.threads = threads
      let found = try Session(chains.graph, options: chains.options).run(chains.results, feeds: chains.feeds)
      let expected = try Session(chains.graph, options: SessionOptions(device: .interpreter))
        .run(chains.results, feeds: chains.feeds)
      expectClose(found[0], expected[0], relative: 1e-5, absolute: 1e-5)
    }
  }

  /// Three chains of the same length on two workers: the third begins when it is as long as what is left for each, not when
  /// the first is over.
  @Test func aCriticalChainGoesFirst() throws {
    let chains = Chains(count: 3, length: 80)
    let plan = try chains.plan()
    #expect(PlanVerifier.violations(of: plan) == [])
    let group = try #require(plan.blocks[0].groups.first)
    let share = group.workers.count { $0 == 0 }
    #expect(abs(2 * share - group.workers.count) <= group.workers.count / 20, "\(share) of \(group.workers.count)")
  }

  @Test func theVerifierFindsWorkersThatNeedEachOther() throws {
    let plan = try Chains(count: 8, length: 60).plan()
    var dealtOtherwise = plan
    let workers = plan.blocks[0].groups[0].workers
    dealtOtherwise.blocks[0].groups[0].workers[workers.count / 2] = 1 - workers[workers.count / 2]
    #expect(!PlanVerifier.violations(of: dealtOtherwise).isEmpty)
  }

  /// A plan without one of its waits is wrong, as is one that waits for what comes later.
  @Test func theVerifierFindsEachMissingWait() throws {
    var chains = Chains(count: 6, length: 40)
    // Pairs of chains are mixed, so that workers need each other all the time.
    let mixed = (0..<30).reduce(chains.results) { values, step in
      values.indices.map { tanh(values[$0] + values[($0 + step) % values.count] * 0.5) }
    }
    chains.results = mixed
    let plan = try chains.plan()
    #expect(PlanVerifier.violations(of: plan) == [])
    let group = try #require(plan.blocks[0].groups.first)
    #expect(group.waits.count > 10)
    for i in group.waits.indices {
      var broken = plan
      broken.blocks[0].groups[0].waits.remove(at: i)
      #expect(!PlanVerifier.violations(of: broken).isEmpty, "wait \(i) of \(group.waits.count)")
    }
    var circular = plan
    circular.blocks[0].groups[0].waits[0].count = group.workers.count
    #expect(PlanVerifier.violations(of: circular).contains { $0.contains("does later") })
    for threads in [1, 2, 3] {
      chains.options.threads = threads
      let session = try Session(chains.graph, options: chains.options)
      let expected = try Session(chains.graph, options: SessionOptions(device: .interpreter))
        .run(chains.results, feeds: chains.feeds)
      for _ in 0..<20 {
        let found = try session.run(chains.results, feeds: chains.feeds)
        for (a, b) in zip(found, expected) { expectClose(a, b, relative: 1e-5, absolute: 1e-6) }
      }
    }
  }

  /// The run throws what the first of the failing instructions says.
  @Test func aWorkerEndsTheRun() throws {
    var chains = Chains(count: 8, length: 60)
    let indices = chains.graph.placeholder(.int32, shape: [2], name: "indices")
    chains.results.append(gather(tanh(chains.results[3]), indices))
    chains.feeds[indices] = Tensor([0, 5] as [Int32])
    let session = try Session(chains.graph, options: chains.options)
    #expect(try session.run(chains.results, feeds: chains.feeds).count == 9)
    chains.feeds[indices] = Tensor([0, 99] as [Int32])
    let error = #expect(throws: Diagnostic.self) { try session.run(chains.results, feeds: chains.feeds) }
    #expect(error?.operation?.contains("Gather") == true)
  }

  /// Two of the workers' steps fail, and others wait for them: the first in the plan is told, whatever the workers' speed, and
  /// variables stay as they were.
  @Test func theFirstFailureIsToldInEveryRun() throws {
    var chains = Chains(count: 4, length: 160)
    let graph = chains.graph
    let indices = graph.placeholder(.int32, shape: [4], name: "indices")
    chains.feeds[indices] = Tensor([0, 1, 99, 0] as [Int32])
    let kept = graph.variable("kept", [32], .constant(7))
    let gathered = chains.results.map { gather(tanh($0), indices) }
    var joined = gathered
    for _ in 0..<20 { joined = joined.indices.map { tanh(joined[$0] + joined[($0 + 1) % joined.count]) } }
    let update = try #require(kept.variable?.assign(sum(addN(joined), axes: [0])))
    let session = try Session(graph, options: chains.options)
    try session.run(graph.initializer)
    let plan = try session.plan(for: [], targets: [update], feeds: chains.feeds.mapValues(\.type))
    #expect(PlanVerifier.violations(of: plan) == [])
    let group = try #require(plan.blocks[0].groups.first)
    #expect(!group.waits.isEmpty)
    let first = try #require(
      plan.blocks[0].instructions.firstIndex { plan.origins[$0.origin].operation.contains("Gather") })
    let name = plan.origins[plan.blocks[0].instructions[first].origin].name
    for _ in 0..<100 {
      let error = #expect(throws: Diagnostic.self) {
        try session.run([], feeds: chains.feeds, targets: [update])
      }
      #expect(error?.operation?.contains("'\(name)'") == true, "\(error?.operation ?? "") instead of \(name)")
    }
    #expect(try session.value(of: kept) == Tensor([Float](repeating: 7, count: 32)))
  }

  /// Random graphs with groups give what the interpreter gives.
  @Test(arguments: 0..<8)
  func randomGraphsAgreeForAnyNumberOfThreads(seed: UInt64) throws {
    let random = RandomGraph(seed: 500 + seed, operationCount: 60)
    var results: [[Tensor]] = []
    for threads in [1, 2, 3] {
      for isFusing in [true, false] {
        let session = try Session(
          random.graph, options: SessionOptions(device: .cpu, threads: threads, isFusing: isFusing))
        for (handle, value) in random.variables { try session.assign(handle, value) }
        var found = try session.run(random.fetches, feeds: random.feeds, targets: random.targets)
        for (handle, _) in random.variables { found.append(try session.value(of: handle)) }
        results.append(found)
      }
    }
    for (i, found) in results.enumerated().dropFirst(2) {
      for (a, b) in zip(results[i % 2], found) { #expect(a == b, "seed \(seed)") }
    }
  }
}
