import Foundation
import Martlet
import MartletTestSupport
import Testing

/// The gradient of attention: against the operations as they are written, and against differences of attention in
/// double precision.
@Suite struct AttentionGradientTests {
  static let sizes = [
    AttentionSize(batch: 2, heads: 3, queries: 16, keys: 48, width: 64, valueWidth: 64),
    AttentionSize(batch: 1, heads: 3, queries: 37, keys: 53, width: 19, valueWidth: 35),
    AttentionSize(batch: 1, heads: 1, queries: 130, keys: 801, width: 8, valueWidth: 12),
    AttentionSize(batch: 1, heads: 1, queries: 420, keys: 420, width: 8, valueWidth: 8),
  ]

  /// A sum of attention times weights, and its gradients.
  private struct Example {
    let graph = Graph()
    let session: Session
    let fetches: [Output]
    let feeds: [Output: Tensor]
    let arrays: [Tensor]
    let maskArrays: [String: Tensor]
    let weights: Tensor

    init(_ s: AttentionSize, _ mask: AttentionMask, wanted: [Int] = [0, 1, 2], threads: Int? = nil) throws {
      let graph = graph
      arrays = s.shapes.enumerated().map { randomTensor($1, seed: UInt64($0 + 1)) }
      let inputs = arrays.map { graph.placeholder(.float32, shape: Shape($0.shape)) }
      maskArrays = mask.feeds(s)
      let masks = maskArrays.mapValues { graph.placeholder($0.elementType, shape: Shape($0.shape)) }
      let scores = mask.scores(batchMatMul(inputs[0], inputs[1], adjointY: true), s, masks)
      let y = batchMatMul(softmax(scores), inputs[2])
      weights = randomTensor([s.batch, s.heads, s.queries, s.valueWidth], seed: 20)
      let factors = graph.placeholder(.float32, shape: Shape(weights.shape))
      let loss = sum(y * factors)
      fetches = [loss] + (try gradients(of: [loss], withRespectTo: wanted.map { inputs[$0] }).compactMap { $0 })
      var feeds = Dictionary(uniqueKeysWithValues: zip(inputs, arrays))
      for (name, input) in masks { feeds[input] = maskArrays[name] }
      feeds[factors] = weights
      self.feeds = feeds
      session = try Session(graph, options: .savingMemory(threads: threads))
    }

    func calls() throws -> Int {
      let plan = try session.plan(for: fetches, feeds: feeds.mapValues(\.type))
      #expect(PlanVerifier.violations(of: plan) == [])
      return plan.blocks[0].instructions.count { if case .library = $0.action { true } else { false } }
    }
  }

  @Test(arguments: sizes, AttentionMask.allCases)
  func isTwoCalls(s: AttentionSize, mask: AttentionMask) throws {
    let example = try Example(s, mask)
    let found = try example.session.run(example.fetches, feeds: example.feeds)
    let expected = try Session(example.graph, options: SessionOptions(device: .cpu, isFusing: false, isExact: true))
      .run(example.fetches, feeds: example.feeds)
    for (found, expected) in zip(found.dropFirst(), expected.dropFirst()) {
      MartletTestSupport.expectClose(found, expected, relative: 1e-4, absolute: 2e-5)
    }
    if AttentionTests.isFormed { #expect(try example.calls() == 2) }
  }

  /// The change of the loss in some direction is what the gradients say.
  @Test(arguments: [AttentionMask.none, .added, .selectedAfterAdded, .causalSelected])
  func isTheSlope(mask: AttentionMask) throws {
    let s = Self.sizes[1]
    let example = try Example(s, mask)
    let found = try example.session.run(example.fetches, feeds: example.feeds).dropFirst()
    let numbers = example.arrays.map { $0.scalars(as: Float.self).map { Double($0) } }
    let factors = example.weights.scalars(as: Float.self)
    for (n, gradient) in found.enumerated() {
      let direction = randomTensor(example.arrays[n].shape, seed: UInt64(30 + n)).scalars(as: Float.self)
      func loss(_ step: Double) -> Double {
        var moved = numbers
        for i in direction.indices { moved[n][i] += step * Double(direction[i]) }
        let y = s.attention(moved[0], moved[1], moved[2], masked: mask.score(s, example.maskArrays))
        return zip(y, factors).reduce(0) { $0 + $1.0 * Double($1.1) }
      }
      let slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
      let said = zip(gradient.scalars(as: Float.self), direction).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
      #expect(abs(slope - said) < 1e-4 * max(1, abs(slope)))
    }
  }

  /// What is not asked for is not computed.
  @Test(arguments: [[0], [1], [2], [0, 1], [1, 2], [0, 2]])
  func someOfThem(wanted: [Int]) throws {
    let s = Self.sizes[0]
    let all = try Example(s, .added)
    let example = try Example(s, .added, wanted: wanted)
    let expected = try all.session.run(all.fetches, feeds: all.feeds)
    let found = try example.session.run(example.fetches, feeds: example.feeds)
    for (n, found) in zip(wanted, found.dropFirst()) {
      MartletTestSupport.expectClose(found, expected[n + 1], relative: 1e-5, absolute: 1e-6)
    }
    if AttentionTests.isFormed { #expect(try example.calls() == 2) }
  }

  /// One head is cut into pieces, several are dealt out.
  @Test(arguments: [sizes[0], sizes[2]])
  func sameBitsForAnyThreads(s: AttentionSize) throws {
    var expected: [Tensor]?
    for threads in [1, 2, 3, 4, 2] {
      let example = try Example(s, .causalSelected, threads: threads)
      let found = try Array(example.session.run(example.fetches, feeds: example.feeds).dropFirst())
      if let expected {
        let isSame = zip(found, expected).allSatisfy {
          $0.scalars(as: Float.self).map(\.bitPattern) == $1.scalars(as: Float.self).map(\.bitPattern)
        }
        #expect(isSame)
      }
      expected = found
    }
  }

  /// Heads that stand beside each other in rows are read and written there.
  @Test(arguments: AttentionTests.Spelling.allCases)
  func everySpellingCounts(spelling: AttentionTests.Spelling) throws {
    let graph = Graph()
    let arrays = (1...3).map { randomTensor([2, 30, 4, 20], seed: $0) } + [randomTensor([1, 1, 30, 30], seed: 4)]
    let inputs = arrays.map { graph.placeholder(.float32, shape: Shape($0.shape)) }
    let y = spelling.build(inputs[0], inputs[1], inputs[2], inputs[3])
    let factors = graph.constant(randomTensor([2, 30, 4, 20], seed: 5))
    let loss = sum(y * factors)
    let fetches = [y] + (try gradients(of: [loss], withRespectTo: Array(inputs.prefix(3))).compactMap { $0 })
    let feeds = Dictionary(uniqueKeysWithValues: zip(inputs, arrays))
    let session = try Session(graph, options: .savingMemory())
    let expected = try Session(graph, options: SessionOptions(device: .cpu, isFusing: false, isExact: true))
      .run(fetches, feeds: feeds)
    for (found, expected) in zip(try session.run(fetches, feeds: feeds), expected) {
      MartletTestSupport.expectClose(found, expected, relative: 1e-4, absolute: 2e-5)
    }
    guard AttentionTests.isFormed else { return }
    let plan = try session.plan(for: fetches, feeds: feeds.mapValues(\.type))
    let calls = plan.blocks[0].instructions.count { if case .library = $0.action { true } else { false } }
    #expect(calls == 2)
    // Neither heads nor gradients are moved; that of the product with the factors is computed.
    if [.headsBesideEachOther, .keysTransposedAhead, .stackOfMatrices].contains(spelling) {
      #expect(plan.blocks[0].instructions.count == 3)
    }
  }

  enum Kept: CaseIterable { case weightsFetched, maskTrained, dropout }

  /// Where weights, or their gradients, are used otherwise, the operations stay.
  @Test(arguments: Kept.allCases)
  func staysAsItIs(example: Kept) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4, 64, 64])
    let bias = graph.placeholder(.float32, shape: [64, 64])
    var weights = softmax(batchMatMul(x, x, adjointY: true) * 0.1 + bias)
    let kept = weights
    if example == .dropout { weights = weights * bias }
    let loss = sum(square(batchMatMul(weights, x)))
    var fetches = try gradients(of: [loss], withRespectTo: example == .maskTrained ? [x, bias] : [x])
      .compactMap { $0 }
    if example == .weightsFetched { fetches.append(kept) }
    let feeds = [x: randomTensor([4, 64, 64], seed: 1), bias: randomTensor([64, 64], seed: 2)]
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run(fetches, feeds: feeds)
    let session = try Session(graph, options: .cpu)
    for (found, expected) in zip(try session.run(fetches, feeds: feeds), expected) {
      MartletTestSupport.expectClose(found, expected, relative: 1e-3, absolute: 1e-3)
    }
    let plan = try session.plan(for: fetches, feeds: feeds.mapValues(\.type))
    #expect(plan.blocks[0].instructions.count { if case .library = $0.action { true } else { false } } > 2)
  }

  /// Small weights are kept where nobody asks for less memory, large ones are not.
  @Test(.enabled(if: AttentionTests.isFormed), arguments: [(1000, false), (2100, true)])
  func onlyLargeWeightsAreComputedAgain(length: Int, isStreamed: Bool) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [1, length, 16])
    let loss = sum(square(batchMatMul(softmax(batchMatMul(x, x, adjointY: true)), x)))
    let slopes = try gradients(of: [loss], withRespectTo: [x]).compactMap { $0 }
    let plan = try Session(graph, options: .cpu).plan(for: slopes, feeds: [x: x.type.tensor!])
    let isKept = plan.slots.contains { $0.type?.shape.known == [1, length, length] }
    #expect(isKept != isStreamed)
  }

  /// Of a long sequence no weights are in memory: 2 heads · 2,000² of them would take 32 MB.
  @Test(.enabled(if: AttentionTests.isFormed)) func takesNoMemoryForWeights() throws {
    let s = AttentionSize(heads: 2, queries: 2000, keys: 2000, width: 32, valueWidth: 32)
    let example = try Example(s, .none)
    let plan = try example.session.plan(for: example.fetches, feeds: example.feeds.mapValues(\.type))
    #expect(plan.arenaBytes < 2 * 2000 * 2000 * 4 / 3)
  }
}

extension SessionOptions {
  /// A processor's session with a limit of memory that nothing reaches.
  fileprivate static func savingMemory(threads: Int? = nil) -> SessionOptions {
    SessionOptions(device: .cpu, threads: threads, memoryBudget: 1 << 40)
  }
}
