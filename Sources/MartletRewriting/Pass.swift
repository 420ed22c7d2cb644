import MartletDiagnostics
import MartletGraph
import MartletTensors

/// One step of the pipeline: from a program to an equivalent one.
public protocol Pass: Sendable {
  /// A verb phrase, the same in code, dumps and tests: `FoldConstants`.
  var name: String { get }
  func run(_ program: Program, _ context: inout PassContext) throws -> Program
}

/// What a pass may ask, and where it leaves its statistics.
public struct PassContext: Sendable {
  /// The device that the program is compiled for.
  public var target: any Target
  /// Runs a program without arguments on the target and returns its results; nil where nothing can be run.
  public var evaluate: (@Sendable (Program) throws -> [Tensor])?
  /// The arrays that are computed from constants alone; they need not be there yet. Nil where nothing can be run.
  public var constants: (@Sendable ([ConstantExpression]) throws -> [Constant])?
  /// Are shown every firing of a rule.
  public var ruleObservers: [RuleObserver] = []
  /// How often each rule has fired, in the order of first firing.
  public private(set) var firings: [(rule: String, count: Int)] = []
  private var firingIndex: [String: Int] = [:]
  /// What the passes inside of each `Fixpoint` took, all rounds together, in the order of their first round.
  public private(set) var repeated: [(fixpoint: String, pass: String, time: Duration, rounds: Int)] = []
  /// Whether the pass that runs has changed the program.
  public var isChanged = false
  private var lastNumber = 0
  /// What is not right, though the program is; a fault of a pass or a rule.
  public var warnings: [Diagnostic] = []

  public init(
    target: any Target, evaluate: (@Sendable (Program) throws -> [Tensor])? = nil,
    constants: (@Sendable ([ConstantExpression]) throws -> [Constant])? = nil
  ) {
    (self.target, self.evaluate, self.constants) = (target, evaluate, constants)
  }

  /// A number for a kernel or a library call that a pass makes, by which calls that are otherwise the same are told apart. It is below
  /// 0: `FormKernels`, which comes last, counts up from there.
  public mutating func newNumber() -> Int {
    lastNumber -= 1
    return lastNumber
  }

  /// Counts a rule's firing.
  public mutating func count(_ rule: String) {
    isChanged = true
    if let i = firingIndex[rule] {
      firings[i].count += 1
    } else {
      firingIndex[rule] = firings.count
      firings.append((rule, 1))
    }
  }
  public func firings(of rule: String) -> Int { firingIndex[rule].map { firings[$0].count } ?? 0 }

  /// Adds a round of a pass inside of a `Fixpoint`.
  mutating func count(_ pass: String, in fixpoint: String, time: Duration) {
    if let i = repeated.firstIndex(where: { $0.fixpoint == fixpoint && $0.pass == pass }) {
      repeated[i].time += time
      repeated[i].rounds += 1
    } else {
      repeated.append((fixpoint, pass, time, 1))
    }
  }
}

/// Passes repeated until none changes anything. Where that takes too many rounds, the program stays as it is by then, and
/// the context gets a warning.
public struct Fixpoint: Pass {
  public let name: String
  public let passes: [any Pass]
  /// A bound for the case that passes undo each other's work; reaching it is a fault of ours.
  public let limit: Int

  public init(_ name: String, limit: Int = 20, @PassListBuilder _ passes: () -> [any Pass]) {
    self.name = name
    self.limit = limit
    self.passes = passes()
  }

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    var program = program
    var causes: [String] = []
    for _ in 0..<limit {
      var isChanged = false
      causes = []
      for pass in passes {
        let before = context.firings
        context.isChanged = false
        let start = ContinuousClock.now
        program = try pass.run(program, &context)
        context.count(pass.name, in: name, time: ContinuousClock.now - start)
        guard context.isChanged else { continue }
        isChanged = true
        // Rules are counted in the order of their first firing: the counts of before are a beginning of those of now.
        let fired = context.firings.enumerated().compactMap { i, firing -> String? in
          let count = firing.count - (i < before.count ? before[i].count : 0)
          return count > 0 ? "\(firing.rule) (\(count))" : nil
        }
        causes += fired.isEmpty ? [pass.name] : fired
      }
      context.isChanged = isChanged
      if !isChanged { return program }
    }
    context.warnings.append(
      Diagnostic(
        "\(name) has not come to an end after \(limit) rounds",
        found: "still firing: \(causes.joined(separator: ", "))",
        hint: "rules that undo each other's work are a fault; the program is right nevertheless"))
    return program
  }
}

extension Program {
  /// The program with `body` applied to the main function and to each sub-graph that it reaches, callees first.
  public func mapFunctions<E: Error>(
    _ body: (GraphFunction, FunctionLibrary) throws(E) -> GraphFunction
  ) throws(E) -> Program {
    var result = self
    for name in reachableFunctions() {
      guard let function = result.library[name] else { continue }
      result.library.replace(try body(function, result.library))
    }
    result.main = try body(main, result.library)
    return result
  }

  /// The names of the sub-graphs that the program runs, callees before callers.
  public func reachableFunctions() -> [FunctionName] {
    var order: [FunctionName] = []
    var seen: Set<FunctionName> = []
    var stack: [(name: FunctionName?, isLeaving: Bool)] = [(nil, false)]
    while let (name, isLeaving) = stack.popLast() {
      if isLeaving {
        if let name { order.append(name) }
        continue
      }
      guard let function = name.map({ library[$0] }) ?? main else { continue }
      stack.append((name, true))
      for node in function.body.topologicalOrder(results: function.results, targets: function.targets).reversed() {
        for callee in function.body.operation(of: node).functions.reversed() where seen.insert(callee).inserted {
          stack.append((callee, false))
        }
      }
    }
    return order
  }
}
