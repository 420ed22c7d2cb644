import MartletDiagnostics
import MartletGraph
import MartletTensors

/// Makes plans that fit a memory budget: values that a run would keep for long are dropped and computed again where they
/// are needed next, the cheapest first.
///
/// Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost" (2016), does this by segments of a network;
/// here each value is weighed by itself, on the fused program. Only values of the main function are dropped.
public enum Rematerialization {
  /// A plan, and what it computes again.
  public struct Outcome: Sendable {
    public var plan: ExecutionPlan
    /// How many steps run a second time.
    public var recomputedCount: Int
  }

  /// The plan of a program in fused form that takes at most `budget` bytes for its arena and for what is fetched.
  ///
  /// - Throws: a diagnostic that lists what takes the most, if even with values computed again a run takes more.
  public static func plan(
    _ program: Program, for target: any SchedulingTarget, within budget: Int
  ) throws(Diagnostic) -> Outcome {
    var program = program
    var plan = try Planner.plan(program, for: target)
    var count = 0
    for _ in 0..<mostRounds where plan.peakBytes > budget {
      guard let next = try Recomputation.reducing(program.main, library: program.library, by: plan.peakBytes - budget)
      else { break }
      var smaller = program
      smaller.main = next.function
      let candidate = try Planner.plan(smaller, for: target)
      guard candidate.peakBytes < plan.peakBytes else { break }
      (program, plan) = (smaller, candidate)
      count += next.count
    }
    let use = MemoryUse(plan)
    if use.peakBytes > budget {
      throw use.shortage(
        "a run takes more memory than its budget", limit: budget,
        hint: count == 0
          ? "raise the budget, or work on smaller batches"
          : "raise the budget, or work on smaller batches; this is with \(count) steps run again to save memory")
    }
    return Outcome(plan: plan, recomputedCount: count)
  }

  /// Each round drops what is in memory at the busiest step; the next one then is another.
  private static let mostRounds = 24
}

extension MemoryUse {
  /// What is wrong where a run takes more than `limit` bytes, with a note for each of the largest values.
  public func shortage(_ message: String, limit: Int, hint: String) -> Diagnostic {
    let notes = values.prefix(5).map { value in
      Diagnostic.Note(
        "\(value.byteCount) bytes: \(value.type.map { "\($0) " } ?? "")'\(value.name)' of \(value.origin.operation) "
          + "'\(value.origin.name)'", site: value.origin.site)
    }
    return Diagnostic(
      message, required: "at most \(limit) bytes",
      found: "\(peakBytes) bytes, of which fetched arrays take \(fetchedBytes)", site: busiest?.site ?? .unknown,
      hint: hint, notes: notes)
  }
}
