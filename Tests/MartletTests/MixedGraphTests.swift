import Foundation
import Martlet
import MartletTestSupport
import Testing

/// Random graphs over all element types: machine code, fused and not, against the interpreter with each operation alone.
@Suite struct MixedGraphTests {
  /// `MARTLET_FUZZ_SEEDS=100..<3000` tests other graphs.
  static let seeds: Range<UInt64> = {
    let bounds = (ProcessInfo.processInfo.environment["MARTLET_FUZZ_SEEDS"] ?? "").components(separatedBy: "..<")
    guard bounds.count == 2, let low = UInt64(bounds[0]), let high = UInt64(bounds[1]), low < high else {
      return 0..<60
    }
    return low..<high
  }()

  @Test(arguments: seeds) func allWaysOfRunningAgree(seed: UInt64) throws {
    let random = MixedGraph(seed: seed)
    let settings = [
      SessionOptions(device: .interpreter, isFusing: false), SessionOptions(device: .cpu),
      SessionOptions(device: .cpu, isFusing: false),
    ]
    var reference: [Tensor]?
    for options in settings {
      let session = try Session(random.graph, options: options)
      let plan = try session.plan(
        for: random.fetches, targets: random.targets, feeds: random.feeds.mapValues(\.type))
      #expect(PlanVerifier.violations(of: plan) == [], "seed \(seed)")
      for (handle, value) in random.variables { try session.assign(handle, value) }
      // The second run finds the memory that the first has left.
      var found = try session.run(random.fetches, feeds: random.feeds, targets: random.targets)
      found += try session.run(random.fetches, feeds: random.feeds, targets: random.targets)
      for (handle, _) in random.variables { found.append(try session.value(of: handle)) }
      guard let expected = reference else {
        reference = found
        continue
      }
      for (i, (a, b)) in zip(found, expected).enumerated() {
        #expect(isSame(a, b), "seed \(seed), \(options.isFusing ? "fused" : "apart"), array \(i): \(a) is not \(b)")
      }
    }
  }

  /// Equal but for the sign of zero, which the order of a sum decides.
  private func isSame(_ a: Tensor, _ b: Tensor) -> Bool {
    if a == b { return true }
    guard a.type == b.type, a.elementType.isFloatingPoint else { return false }
    return a.doubles() == b.doubles()
  }
}
