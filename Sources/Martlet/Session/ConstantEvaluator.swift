import MartletExecution
import MartletGraph
import MartletPasses
import MartletRewriting
import MartletScheduling
import MartletTensors
import Synchronization

/// Computes what depends on constants alone: when it is needed, and once for all plans of a session.
final class ConstantEvaluator: Sendable {
  private let host: any HostBackend
  private let isFusing: Bool
  private let isExact: Bool
  private let known = Mutex<[Key: Known]>([:])

  private struct Key: Hashable {
    var structure: [ConstantExpression.Part]
    var constants: [Constant]
  }

  /// Plans keep what they need.
  private struct Known {
    weak var constant: Constant?
  }

  /// - Parameter host: computes it.
  init(_ host: any HostBackend, isFusing: Bool, isExact: Bool) {
    (self.host, self.isFusing, self.isExact) = (host, isFusing, isExact)
  }

  /// The results of a program without arguments.
  func results(of program: Program) throws -> [Tensor] {
    try bind([program])[0].run([], variables: [], number: 0)
  }

  /// The arrays, still to be computed; the same objects for the same expressions, as long as a plan has them.
  ///
  /// - Throws: what keeps them from being compiled.
  func constants(_ expressions: [ConstantExpression]) throws -> [Constant] {
    let keys = expressions.map { Key(structure: $0.structure, constants: $0.constants) }
    var found = known.withLock { known in keys.map { known[$0]?.constant } }
    var numbers: [[ConstantExpression.Part]: Int] = [:]
    var programs: [Program] = []
    for (i, expression) in expressions.enumerated() where found[i] == nil && numbers[expression.structure] == nil {
      numbers[expression.structure] = programs.count
      programs.append(expression.program)
    }
    let plans = try bind(programs)
    for (i, expression) in expressions.enumerated() where found[i] == nil {
      guard let number = numbers[expression.structure] else { preconditionFailure("an expression has no plan") }
      let (plan, constants) = (plans[number], expression.constants)
      found[i] = Constant(expression.type) {
        do {
          return try plan.passingResults(constants.map(\.passingTensor))[0]
        } catch {
          fatalError("what cannot fail has failed: \(error)")
        }
      }
    }
    known.withLock { known in
      if known.count > 2 * keys.count { known = known.filter { $0.value.constant != nil } }
      for (key, constant) in zip(keys, found) { known[key] = Known(constant: constant) }
    }
    return found.map { $0! }
  }

  private func bind(_ programs: [Program]) throws -> [BoundPlan] {
    let plans = try programs.map { program in
      var context = PassContext(target: host)
      let fused = try FormKernels(fusing: isFusing, exact: isExact).run(program, &context)
      var plan = try Planner.plan(fused, for: host)
      plan.use = .few
      return plan
    }
    if plans.count > 1 {
      // The code of all at once; each finds its own then.
      var report = BindingReport()
      _ = try host.bind(
        plans.flatMap(\.kernels), before: plans.flatMap(\.contracts), for: .few, report: &report)
    }
    return try plans.map { try BoundPlan($0, backend: host) }
  }
}
