import MartletDiagnostics
import MartletGraph
import MartletTensors

/// The passes of one step of the path, which together reach a form.
public struct Phase: Sendable {
  public let form: Form
  public let passes: [any Pass]
  public init(_ form: Form, @PassListBuilder _ passes: () -> [any Pass]) {
    (self.form, self.passes) = (form, passes())
  }
}

/// Phases in order. The standard one is `Pipeline.standard`.
public struct Pipeline: Sendable {
  public let phases: [Phase]

  public init(@PhaseListBuilder _ phases: () -> [Phase]) { self.phases = phases() }

  /// Runs the phases up to and including the one that reaches `form`.
  ///
  /// - Parameters:
  ///   - instruments: look on before and after each pass; see `Instrument`.
  ///   - evaluate: runs a program without arguments on the target, for what depends on constants alone.
  ///   - constants: the same for large arrays, which are computed when they are needed.
  /// - Throws: what a pass throws, with the pass named in a note, and what an instrument throws.
  public func run(
    _ program: Program, target: any Target, until form: Form = .fused, instruments: [any Instrument] = [],
    evaluate: (@Sendable (Program) throws -> [Tensor])? = nil,
    constants: (@Sendable ([ConstantExpression]) throws -> [Constant])? = nil
  ) throws -> Program {
    var program = program
    var context = PassContext(target: target, evaluate: evaluate, constants: constants)
    context.ruleObservers = instruments.compactMap(\.ruleObserver)
    for instrument in instruments { try instrument.begin(program) }
    for phase in phases where phase.form <= form {
      for pass in phase.passes {
        for instrument in instruments { try instrument.before(pass.name, program) }
        let start = ContinuousClock.now
        let result = try pass.run(program, &context)
        let time = ContinuousClock.now - start
        for instrument in instruments { try instrument.after(pass.name, from: program, to: result, time: time) }
        program = result
      }
      for instrument in instruments { try instrument.reached(phase.form, program, for: target) }
    }
    for instrument in instruments { try instrument.end(program, context) }
    return program
  }
}

@resultBuilder
public enum PassListBuilder {
  public static func buildBlock(_ passes: (any Pass)...) -> [any Pass] { passes }
}

@resultBuilder
public enum PhaseListBuilder {
  public static func buildBlock(_ phases: Phase...) -> [Phase] { phases }
}
