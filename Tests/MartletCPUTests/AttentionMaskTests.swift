import Foundation
import Martlet
import MartletTestSupport
import Testing

/// Ways to mask attention, of products that a factor of 0.3 has scaled.
enum AttentionMask: CaseIterable {
  case none, added, selected, selectedElsewhere, selectedFromArray, selectedBeforeAdded, selectedAfterAdded
  case causalSelected, causalInfinite, causalAdded, causalComputed, causalBesideAdded, causalOfSmallNumber

  static let allButNone = allCases.filter { $0 != .none }
  static let number: Float = -1e9

  /// What is fed beside q, k and v.
  func feeds(_ s: AttentionSize) -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    switch self {
    case .added, .selectedBeforeAdded, .selectedAfterAdded, .causalBesideAdded:
      result["mask"] = randomTensor([s.batch, 1, 1, s.keys], seed: 9)
    default: break
    }
    switch self {
    case .selected, .selectedElsewhere, .selectedFromArray, .selectedBeforeAdded, .selectedAfterAdded:
      // Of the first query no key, of others two thirds.
      let values = (0..<s.batch * s.queries * s.keys).map { n in
        n / s.keys % s.queries > 0 && (n * 7 + n / s.keys) % 3 != 0
      }
      result["condition"] = Tensor(values, shape: [s.batch, 1, s.queries, s.keys])
    default: break
    }
    return result
  }

  private func isKept(_ s: AttentionSize, _ query: Int, _ key: Int) -> Bool { key <= query + s.keys - s.queries }

  func scores(_ products: Output, _ s: AttentionSize, _ fed: [String: Output]) -> Output {
    let graph = products.graph
    let scores = products * 0.3
    let number = graph.constant(self == .causalOfSmallNumber ? Float(-2) : Self.number)
    func constant(_ element: (Bool) -> Float) -> Output {
      graph.constant(
        Tensor(
          (0..<s.queries * s.keys).map { element(isKept(s, $0 / s.keys, $0 % s.keys)) }, shape: [s.queries, s.keys]))
    }
    func condition() -> Output {
      graph.constant(
        Tensor((0..<s.queries * s.keys).map { isKept(s, $0 / s.keys, $0 % s.keys) }, shape: [s.queries, s.keys]))
    }
    guard let mask = fed["mask"] else {
      switch self {
      case .selected: return select(fed["condition"] ?? scores, scores, number)
      case .selectedElsewhere: return select(!(fed["condition"] ?? scores), number, scores)
      case .selectedFromArray:
        return select(
          fed["condition"] ?? scores, scores, fill(scores.shape.known ?? [], with: number))
      case .causalSelected, .causalOfSmallNumber: return select(condition(), scores, number)
      case .causalInfinite: return scores + constant { $0 ? 0 : -.infinity }
      case .causalAdded: return scores + constant { $0 ? 0 : Self.number }
      case .causalComputed:
        let (queries, keys) = (graph.range(0, s.queries), graph.range(0, s.keys))
        let isKept = reshape(queries, [s.queries, 1]) + Double(s.keys - s.queries) .>= reshape(keys, [1, s.keys])
        return select(isKept, scores, number)
      default: return scores
      }
    }
    switch self {
    case .selectedBeforeAdded: return select(fed["condition"] ?? scores, scores, number) + mask
    case .selectedAfterAdded: return select(fed["condition"] ?? scores, scores + mask, number)
    case .causalBesideAdded: return select(condition(), scores + mask, number)
    default: return scores + mask
    }
  }

  /// The same in double precision: the score for a product, given its batch, head, query and key.
  func score(_ s: AttentionSize, _ feeds: [String: Tensor]) -> (Double, Int, Int, Int, Int) -> Double {
    let added = feeds["mask"]?.scalars(as: Float.self) ?? Array(repeating: 0, count: s.batch * s.keys)
    let kept = feeds["condition"]?.scalars(as: Bool.self) ?? []
    let number = Double(Self.number)
    return { product, batch, _, query, key in
      let score = product * 0.3
      let addend = Double(added[batch * s.keys + key])
      let isKept = kept.isEmpty ? isKept(s, query, key) : kept[(batch * s.queries + query) * s.keys + key]
      switch self {
      case .none, .added: return score + addend
      case .selected, .selectedElsewhere, .selectedFromArray, .selectedAfterAdded, .causalSelected, .causalComputed,
        .causalBesideAdded:
        return isKept ? score + addend : number
      case .selectedBeforeAdded: return (isKept ? score : number) + addend
      case .causalOfSmallNumber: return isKept ? score : -2
      case .causalInfinite: return isKept ? score : -.infinity
      case .causalAdded: return isKept ? score : score + number
      }
    }
  }
}

/// Masked attention, against a softmax in double precision.
@Suite struct AttentionMaskTests {
  /// One block of keys and several, as many keys as queries and more.
  static let sizes = [
    AttentionSize(batch: 2, heads: 2, queries: 37, keys: 37, width: 24, valueWidth: 33),
    AttentionSize(batch: 1, heads: 1, queries: 150, keys: 801, width: 8, valueWidth: 8),
    AttentionSize(batch: 1, heads: 1, queries: 450, keys: 450, width: 8, valueWidth: 10),
  ]

  @Test(arguments: sizes, AttentionMask.allButNone)
  func isOneCall(s: AttentionSize, mask: AttentionMask) throws {
    let graph = Graph()
    let arrays = s.shapes.enumerated().map { randomTensor($1, seed: UInt64($0 + 1)) }
    let inputs = arrays.map { graph.placeholder(.float32, shape: Shape($0.shape)) }
    let maskArrays = mask.feeds(s)
    let masks = maskArrays.mapValues { graph.placeholder($0.elementType, shape: Shape($0.shape)) }
    let scores = mask.scores(batchMatMul(inputs[0], inputs[1], adjointY: true), s, masks)
    let y = batchMatMul(softmax(scores), inputs[2])
    var feeds = Dictionary(uniqueKeysWithValues: zip(inputs, arrays))
    for (name, input) in masks { feeds[input] = maskArrays[name] }
    let numbers = arrays.map { $0.scalars(as: Float.self).map { Double($0) } }
    let expected = s.attention(numbers[0], numbers[1], numbers[2], masked: mask.score(s, maskArrays))
    let session = try Session(graph, options: .cpu)
    let found = try session.run([y], feeds: feeds)[0].scalars(as: Float.self)
    // Beside a number of 1e9 what is added has no digits left, which shows where no score counts.
    let isRounded = mask == .selectedBeforeAdded
    let isClose = zip(found, expected).enumerated().allSatisfy { n, pair in
      isRounded && n / s.valueWidth % s.queries == 0 || abs(Double(pair.0) - pair.1) < 3e-6
    }
    #expect(isClose && found.count == expected.count)
    guard AttentionTests.isFormed else { return }
    let plan = try session.plan(for: [y], feeds: feeds.mapValues(\.type))
    #expect(PlanVerifier.violations(of: plan) == [])
    let calls = plan.blocks[0].instructions.count { if case .library = $0.action { true } else { false } }
    #expect(calls == 1)
    let others = mask == .selectedElsewhere ? 1 : 0
    #expect(plan.blocks[0].instructions.count == 1 + others)
  }

  /// Scores below what a causal mask puts in the place of others still count for less than those.
  @Test func numbersThatExcludeNothing() throws {
    let s = AttentionSize(queries: 130, keys: 900, width: 16, valueWidth: 16)
    let mask = AttentionMask.causalSelected
    let arrays = s.shapes.enumerated().map { randomTensor($1, seed: UInt64($0 + 1)) }
    // Products of about −1e10 and 1e10.
    let large: [Float] = arrays[0].scalars(as: Float.self).map { $0 * 1e10 }
    let graph = Graph()
    let q = graph.placeholder(.float32, shape: Shape(s.shapes[0]))
    let (k, v) = (graph.constant(arrays[1]), graph.constant(arrays[2]))
    let y = batchMatMul(softmax(mask.scores(batchMatMul(q, k, adjointY: true), s, [:])), v)
    let found = try Session(graph, options: .cpu).run([y], feeds: [q: Tensor(large, shape: s.shapes[0])])[0]
    let numbers = [large] + arrays.dropFirst().map { $0.scalars(as: Float.self) }
    let doubles = numbers.map { $0.map { Double($0) } }
    let expected = s.attention(doubles[0], doubles[1], doubles[2], masked: mask.score(s, [:]))
    let isClose = zip(found.scalars(as: Float.self), expected).allSatisfy { abs(Double($0) - $1) < 1e-5 }
    #expect(isClose)
  }
}
