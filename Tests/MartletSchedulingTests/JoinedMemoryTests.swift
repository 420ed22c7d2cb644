import Martlet
import MartletTestSupport
import Testing

/// What is put together or taken apart along the outermost axis is not moved where the plan may choose its place.
@Suite struct JoinedMemoryTests {
  /// Checks the plan, that what it computes is what the graph means, operation by operation, and how many arrays joins
  /// and copies move in a run of machine code.
  private static func check(_ fetches: [Output], _ feeds: [Output: Tensor], moves: Int? = nil) throws {
    for options in [
      SessionOptions(device: .interpreter), SessionOptions(device: .cpu, isFusing: false), SessionOptions.cpu,
    ] {
      let session = try Session(fetches[0].graph, options: options)
      let plan = try session.plan(for: fetches, feeds: feeds.mapValues(\.type))
      #expect(PlanVerifier.violations(of: plan) == [], "\(plan)")
      var evaluator = ReferenceEvaluator()
      let expected = try evaluator.evaluate(fetches, feeds: feeds)
      let trace = RunTrace()
      // The second run finds what the first has left.
      try session.run(fetches, feeds: feeds)
      let found = try session.run(fetches, feeds: feeds, options: RunOptions(trace: trace))
      for (a, b) in zip(found, expected) { expectClose(a, b, relative: 1e-5, absolute: 1e-5, "\(plan)") }
      guard options.isFusing, options.device == .cpu, let moves else { continue }
      #expect(trace.events.count { $0.category == "join" || $0.category == "copy" } == moves, "\(plan)")
    }
  }

  /// A graph with an argument of 16 × 16, and its feed.
  private static func start() -> (x: Output, feeds: [Output: Tensor]) {
    let x = Graph().placeholder(.float32, shape: [16, 16], name: "x")
    let elements = (0..<256).map { Float(($0 * 37) % 251) / 256 - 0.5 }
    return (x, [x: Tensor(elements, shape: [16, 16])])
  }

  @Test func productsAreJoinedWhereTheyAreComputed() throws {
    let (x, feeds) = Self.start()
    let parts = [matMul(x, x), matMul(x, x, transposeA: true), matMul(x, x, transposeB: true)]
    let whole = concat(parts, axis: 0)
    try Self.check([matMul(whole, x)], feeds, moves: 0)
    // Also into the array that is handed out, and where a part is used by itself, too.
    try Self.check([whole], feeds, moves: 0)
    try Self.check([matMul(whole, x), matMul(parts[1], x)], feeds, moves: 0)
    try Self.check([matMul(reshape(stack(parts), [48, 16]), x)], feeds, moves: 0)
  }

  // An array that is there already, one that is in the whole twice, and one that is handed out itself have to be moved.
  @Test func whatCannotBePlacedIsMoved() throws {
    let (x, feeds) = Self.start()
    let (a, b) = (matMul(x, x), matMul(x, x, transposeA: true))
    try Self.check([matMul(concat([a, x, b], axis: 0), x)], feeds, moves: 1)
    try Self.check([matMul(concat([a, b, a], axis: 0), x)], feeds, moves: 1)
    try Self.check([matMul(concat([a, b], axis: 0), x), a], feeds, moves: 1)
  }

  // One value cannot lie in two wholes side by side.
  @Test func aPartOfTwoWholesIsMovedOnce() throws {
    let (x, feeds) = Self.start()
    let parts = [matMul(x, x), matMul(x, x, transposeA: true), matMul(x, x, transposeB: true)]
    let first = concat([parts[0], parts[1]], axis: 0)
    let second = concat([parts[1], parts[2]], axis: 0)
    try Self.check([matMul(first, x), matMul(second, x)], feeds, moves: 1)
  }

  @Test func wholesWithinWholesAreNotMoved() throws {
    let (x, feeds) = Self.start()
    let inner = concat([matMul(x, x), matMul(x, x, transposeA: true)], axis: 0)
    let outer = concat([matMul(x, x, transposeB: true), inner], axis: 0)
    try Self.check([matMul(outer, x), matMul(inner, x)], feeds, moves: 0)
  }

  // More arrays than a kernel would join.
  @Test func manyPartsAreJoined() throws {
    let (x, feeds) = Self.start()
    let parts = (0..<40).map { matMul(x * Double($0), x) }
    try Self.check([matMul(concat(parts, axis: 0), x)], feeds, moves: 0)
    try Self.check([stack(Array(repeating: x, count: 40))], feeds, moves: 40)
  }

  // Along an inner axis, or where a part would begin in the middle of a cache line, joining is a kernel.
  @Test func whatDoesNotStandSideBySideIsAKernel() throws {
    let (x, feeds) = Self.start()
    let parts = [matMul(x, x), matMul(x, x, transposeA: true)]
    try Self.check([matMul(x, concat(parts, axis: 1))], feeds, moves: 0)
    let odd = parts.map { reshape($0, [256])[0..<5] }
    try Self.check([concat(odd, axis: 0)], feeds, moves: 0)
  }

  @Test func partsAreReadWhereTheyAre() throws {
    let (x, feeds) = Self.start()
    let y = matMul(x, x)
    for whole in [x, y, x.graph.constant(try #require(feeds[x]))] {
      let parts = unstack(reshape(whole, [4, 4, 16])).map { matMul($0, x) }
      try Self.check(parts, feeds, moves: 0)
      // A part of a part; a part that is handed out.
      let rows = whole[4..<12]
      try Self.check([matMul(rows[4..<8], x)], feeds, moves: 0)
      try Self.check([rows, matMul(rows, x)], feeds)
    }
  }

  // The sum must not be written over the array of which it also reads the first row.
  @Test func aWholeIsNotOverwrittenWhileAPartIsRead() throws {
    let (x, feeds) = Self.start()
    let y = matMul(x, x)
    try Self.check([matMul(y + y[0..<1], x)], feeds)
    let joined = concat([y, matMul(x, x, transposeA: true)], axis: 0)
    try Self.check([matMul(joined + sum(y, axes: [0], keepDims: true), x)], feeds)
  }

  // Parts go into branches and loops, and a loop's state may be taken apart.
  @Test func partsGoThroughControlFlow() throws {
    let (x, feeds) = Self.start()
    let y = matMul(x, x)
    let (top, bottom) = (y[0..<8], y[8..<16])
    let chosen = cond(sum(x) .> 0) {
      matMul(top, x)
    } else: {
      matMul(bottom, x)
    }
    try Self.check([chosen, concat([chosen, top], axis: 0)], feeds)
  }

  // The halves of a variable change places, step by step.
  @Test func aVariableIsJoinedFromItsOwnParts() throws {
    let graph = Graph()
    let start = Tensor((0..<64).map { Float($0) }, shape: [4, 16])
    let v = graph.variable("v", [4, 16], .tensor(start))
    let value = v + 0
    let swap = try #require(v.variable).assign(concat([value[2..<4], value[0..<2]], axis: 0))
    let direct = try #require(v.variable).assign(concat([v[2..<4], v[0..<2]], axis: 0))
    for target in [swap, direct] {
      let session = try Session(graph, options: .cpu)
      try session.run(graph.initializer)
      try session.run(target)
      #expect(
        try session.value(of: v).scalars(as: Float.self) == (32..<64).map { Float($0) } + (0..<32).map { Float($0) })
      try session.run(target)
      #expect(try session.value(of: v) == start)
    }
  }
}
