import Martlet
import Testing

/// The steps of the processor's plan for `fetches`: library calls and others. Expects that the plan is sound, and that two
/// of its runs give what the interpreter, which knows of no library, gives.
public func checkedSteps(
  _ graph: Graph, _ fetches: [Output], _ feeds: [Output: Tensor]
) throws -> (calls: Int, others: Int) {
  let expected = try Session(graph, options: SessionOptions(device: .interpreter)).run(fetches, feeds: feeds)
  let session = try Session(graph, options: .cpu)
  for _ in 0..<2 {
    for (found, expected) in zip(try session.run(fetches, feeds: feeds), expected) {
      expectClose(found, expected, relative: 1e-4, absolute: 1e-4)
    }
  }
  let plan = try session.plan(for: fetches, feeds: feeds.mapValues(\.type))
  #expect(PlanVerifier.violations(of: plan) == [])
  let calls = plan.blocks[0].instructions.count { if case .library = $0.action { true } else { false } }
  return (calls, plan.blocks[0].instructions.count - calls)
}
