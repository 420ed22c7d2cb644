import MartletCPU
import Foundation
import Martlet
import MartletTestSupport
import Testing

/// Attention, however it is spelled, against a softmax in double precision.
@Suite struct AttentionTests {
  /// Elsewhere attention is computed as it is written.
  static let isFormed = CPUBackend().machine.vectorBytes == 64

  typealias Size = AttentionSize

  /// Whole and partial tiles and vectors; keys of one block, of two and of three; one query.
  static let sizes = [
    Size(batch: 2, heads: 3, queries: 16, keys: 48, width: 64, valueWidth: 64),
    Size(batch: 1, heads: 5, queries: 37, keys: 53, width: 19, valueWidth: 33),
    Size(batch: 1, heads: 2, queries: 9, keys: 500, width: 32, valueWidth: 16),
    Size(batch: 3, heads: 1, queries: 1, keys: 801, width: 40, valueWidth: 72),
    Size(batch: 1, heads: 1, queries: 130, keys: 47, width: 24, valueWidth: 50),
  ]

  enum Mask: CaseIterable { case none, keys, causal, elements, rows }

  private func mask(_ kind: Mask, _ s: Size) -> Tensor? {
    switch kind {
    case .none: return nil
    case .keys:
      let last = s.keys * 2 / 3
      return Tensor(
        (0..<s.batch * s.keys).map { $0 % s.keys > last ? -10000 as Float : 0 }, shape: [s.batch, 1, 1, s.keys])
    case .causal:
      let values = (0..<s.queries * s.keys).map { $0 % s.keys > $0 / s.keys ? -Float.infinity : 0 }
      return Tensor(values, shape: [s.queries, s.keys])
    case .elements: return randomTensor([s.batch, s.heads, s.queries, s.keys], seed: 9)
    case .rows: return randomTensor([s.heads, s.queries, 1], seed: 10)
    }
  }

  /// In double precision, of arrays [batch, heads, rows, columns].
  private func reference(_ s: Size, _ q: Tensor, _ k: Tensor, _ v: Tensor, _ mask: Tensor?, scale: Double) -> [Double] {
    var shape: [Int] = []
    if let mask { shape = Array(repeating: 1, count: 4 - mask.shape.count) + mask.shape }
    let added = mask?.scalars(as: Float.self) ?? []
    let arrays = [q, k, v].map { $0.scalars(as: Float.self).map { Double($0) } }
    return s.attention(arrays[0], arrays[1], arrays[2]) { score, batch, head, i, j in
      guard !added.isEmpty else { return score * scale }
      var place = 0
      for (index, extent) in zip([batch, head, i, j], shape) { place = place * extent + (extent == 1 ? 0 : index) }
      return score * scale + Double(added[place])
    }
  }

  private func expectClose(_ found: Tensor, _ expected: [Double]) {
    let found = found.scalars(as: Float.self)
    #expect(found.count == expected.count)
    let isClose = zip(found, expected).allSatisfy { x, y in
      x.isNaN ? y.isNaN : abs(Double(x) - y) < 2e-6 + 2e-6 * abs(y)
    }
    #expect(isClose)
  }

  /// The library calls and other steps of the plan.
  private func steps(_ graph: Graph, _ y: Output, _ feeds: [Output: Tensor]) throws -> (calls: Int, others: Int) {
    let plan = try Session(graph, options: .cpu).plan(for: [y], feeds: feeds.mapValues(\.type))
    #expect(PlanVerifier.violations(of: plan) == [])
    let calls = plan.blocks[0].instructions.count { if case .library = $0.action { true } else { false } }
    return (calls, plan.blocks[0].instructions.count - calls)
  }

  @Test(arguments: sizes, Mask.allCases)
  func isOneCall(s: Size, kind: Mask) throws {
    let (q, k) = (
      randomTensor([s.batch, s.heads, s.queries, s.width], seed: 1),
      randomTensor([s.batch, s.heads, s.keys, s.width], seed: 2)
    )
    let v = randomTensor([s.batch, s.heads, s.keys, s.valueWidth], seed: 3)
    let mask = mask(kind, s)
    let graph = Graph()
    var feeds: [Output: Tensor] = [:]
    func fed(_ tensor: Tensor, _ name: String) -> Output {
      let output = graph.placeholder(.float32, shape: Shape(tensor.shape), name: name)
      feeds[output] = tensor
      return output
    }
    let products = batchMatMul(fed(q, "q"), fed(k, "k"), adjointY: true) * 0.3
    let scores = mask.map { products + fed($0, "mask") } ?? products
    let y = batchMatMul(softmax(scores), fed(v, "v"))
    let expected = reference(s, q, k, v, mask, scale: 0.3)
    let session = try Session(graph, options: .cpu)
    for _ in 0..<2 { expectClose(try session.run([y], feeds: feeds)[0], expected) }
    if Self.isFormed { #expect(try steps(graph, y, feeds) == (1, 0)) }
  }

  /// Ways to write attention of two batches of four heads with rows of 20 columns side by side.
  enum Spelling: CaseIterable {
    case headsBesideEachOther, keysTransposedAhead, scaledTwice, maskFirst, dividedScores, stackOfMatrices
    case queriesScaledAhead, batchOfOneAxis

    func build(_ q: Output, _ k: Output, _ v: Output, _ mask: Output) -> Output {
      let root = 20.0.squareRoot()
      func heads(_ x: Output, _ permutation: [Int] = [0, 2, 1, 3]) -> Output { transpose(x, permutation: permutation) }
      func merged(_ x: Output) -> Output { transpose(x, permutation: [0, 2, 1, 3]) }
      switch self {
      case .headsBesideEachOther:
        return merged(
          batchMatMul(softmax(batchMatMul(heads(q), heads(k), adjointY: true) * (1 / root) + mask), heads(v)))
      case .keysTransposedAhead:
        return merged(
          batchMatMul(softmax(batchMatMul(heads(q), heads(k, [0, 2, 3, 1])) * (1 / root) + mask), heads(v)))
      case .scaledTwice:
        let scores = 2 * (batchMatMul(heads(q), heads(k), adjointY: true) * (0.5 / root)) + mask
        return merged(batchMatMul(softmax(scores), heads(v)))
      case .maskFirst:
        let scores = mask + batchMatMul(heads(q), heads(k), adjointY: true) / root
        return merged(batchMatMul(softmax(scores), heads(v)))
      case .dividedScores:
        return merged(
          batchMatMul(softmax(batchMatMul(heads(q), heads(k), adjointY: true) / root + mask), heads(v)))
      case .stackOfMatrices:
        func stack(_ x: Output) -> Output { reshape(heads(x), [8, 30, 20]) }
        let scores = batchMatMul(stack(q), stack(k), adjointY: true) * (1 / root) + reshape(mask, [30, 30])
        return merged(reshape(batchMatMul(softmax(scores), stack(v)), [2, 4, 30, 20]))
      case .queriesScaledAhead:
        let scores = batchMatMul(heads(q) * (1 / root), heads(k, [0, 2, 3, 1])) + mask
        return merged(batchMatMul(softmax(scores), heads(v)))
      case .batchOfOneAxis:
        // As exporters write it: rows first, batch and heads as one axis in their middle.
        func rows(_ x: Output) -> Output {
          transpose(reshape(transpose(x, permutation: [1, 0, 2, 3]), [30, 8, 20]), permutation: [1, 0, 2])
        }
        let scores = batchMatMul(rows(q), rows(k), adjointY: true) * (1 / root) + reshape(mask, [1, 30, 30])
        let y = transpose(batchMatMul(softmax(scores), rows(v)), permutation: [1, 0, 2])
        return transpose(reshape(y, [30, 2, 4, 20]), permutation: [1, 0, 2, 3])
      }
    }
  }

  @Test(arguments: Spelling.allCases)
  func everySpellingCounts(spelling: Spelling) throws {
    let size = Size(batch: 2, heads: 4, queries: 30, keys: 30, width: 20, valueWidth: 20)
    let graph = Graph()
    let arrays = (1...3).map { randomTensor([2, 30, 4, 20], seed: $0) } + [randomTensor([1, 1, 30, 30], seed: 4)]
    let inputs = zip(["q", "k", "v", "mask"], arrays).map { name, array in
      graph.placeholder(.float32, shape: Shape(array.shape), name: name)
    }
    let feeds = Dictionary(uniqueKeysWithValues: zip(inputs, arrays))
    let y = spelling.build(inputs[0], inputs[1], inputs[2], inputs[3])
    func swapped(_ tensor: [Double]) -> [Double] {
      var result = tensor
      for b in 0..<2 {
        for h in 0..<4 {
          for i in 0..<30 {
            for c in 0..<20 { result[((b * 30 + i) * 4 + h) * 20 + c] = tensor[((b * 4 + h) * 30 + i) * 20 + c] }
          }
        }
      }
      return result
    }
    func headsFirst(_ tensor: Tensor) -> Tensor {
      let from = tensor.scalars(as: Float.self)
      return Tensor(
        (0..<2 * 4 * 30 * 20).map { n in
          let (b, h, i, c) = (n / 2400, n / 600 % 4, n / 20 % 30, n % 20)
          return from[((b * 30 + i) * 4 + h) * 20 + c]
        }, shape: [2, 4, 30, 20])
    }
    let expected = reference(
      size, headsFirst(arrays[0]), headsFirst(arrays[1]), headsFirst(arrays[2]), arrays[3],
      scale: 1 / 20.0.squareRoot())
    expectClose(try Session(graph).run([y], feeds: feeds)[0], swapped(expected))
    guard Self.isFormed else { return }
    let steps = try steps(graph, y, feeds)
    #expect(steps.calls == 1)
    // Rows that stand first are moved.
    if spelling != .batchOfOneAxis { #expect(steps.others == 0) }
  }

  /// Rows that a mask excludes wholly are NaN, as a softmax written out is; those that it excludes for the first block of
  /// keys are not.
  @Test func rowsOfNothing() throws {
    let size = Size(queries: 6, keys: 700, width: 40, valueWidth: 40)
    let (q, k, v) = (
      randomTensor([6, 40], seed: 1), randomTensor([700, 40], seed: 2), randomTensor([700, 40], seed: 3)
    )
    var values = [Float](repeating: 0, count: 6 * 700)
    for j in 0..<700 { values[2 * 700 + j] = -.infinity }
    for j in 0..<650 { values[4 * 700 + j] = -.infinity }
    let mask = Tensor(values, shape: [6, 700])
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [6, 40], name: "q")
    let scores = matMul(x, graph.constant(k), transposeB: true) + graph.constant(mask)
    let y = matMul(softmax(scores), graph.constant(v))
    let found = try Session(graph).run([y], feeds: [x: q])[0]
    expectClose(found, reference(size, q, k, v, mask, scale: 1))
    #expect(found.scalars(as: Float.self).count { $0.isNaN } == 40)
    if Self.isFormed { #expect(try steps(graph, y, [x: q]).calls == 1) }
  }

  /// Of a long sequence no scores are in memory: 2 heads · 3,000² of them would take 72 MB.
  @Test(.enabled(if: isFormed)) func takesNoMemoryForScores() throws {
    let graph = Graph()
    let inputs = ["q", "k", "v"].map { graph.placeholder(.float32, shape: [2, 3000, 32], name: $0) }
    let y = batchMatMul(softmax(batchMatMul(inputs[0], inputs[1], adjointY: true)), inputs[2])
    let types = inputs.map { ($0, TensorType(.float32, [2, 3000, 32])) }
    let plan = try Session(graph, options: .cpu).plan(for: [y], feeds: Dictionary(uniqueKeysWithValues: types))
    #expect(plan.arenaBytes < 2 * 3000 * 3000 * 4 / 10)
  }

  enum Kept: CaseIterable { case weightsFetched, scoresFetched, maskedAndScaled, twoMasks }

  /// What others read is stored, and what is no attention stays as it is.
  @Test(arguments: Kept.allCases)
  func staysAsItIs(example: Kept) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [4, 64, 64], name: "x")
    let scores = batchMatMul(x, x, adjointY: true)
    let weights: Output =
      switch example {
      case .weightsFetched, .scoresFetched: softmax(scores)
      case .maskedAndScaled: softmax((scores + x) * 0.5)
      case .twoMasks: softmax(scores + x + x * x)
      }
    let y = batchMatMul(weights, x)
    let fetches = [y] + (example == .weightsFetched ? [weights] : example == .scoresFetched ? [scores] : [])
    let feeds = [x: randomTensor([4, 64, 64], seed: 1)]
    let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run(fetches, feeds: feeds)
    for (found, expected) in zip(try Session(graph).run(fetches, feeds: feeds), expected) {
      MartletTestSupport.expectClose(found, expected, relative: 1e-4, absolute: 1e-4)
    }
    let plan = try Session(graph, options: .cpu).plan(for: fetches, feeds: feeds.mapValues(\.type))
    #expect(plan.blocks[0].instructions.count { if case .library = $0.action { true } else { false } } == 2)
  }
}
