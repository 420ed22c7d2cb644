import Martlet
import MartletPasses
import MartletTestSupport
import Testing

/// Wrong rules and passes are caught, and named with the line of the user's source.
@Suite struct ProofTests {
  private func prove(_ graph: Graph, _ fetches: [Output], _ rule: Rule, limits: Proof.Limits = .init()) throws -> Proof
  {
    let proof = Proof(limits: limits)
    let options = SessionOptions(
      device: .interpreter, rules: RuleSet("test", [rule]), instruments: [VerifyInstrument(), proof])
    _ = try Session(graph, options: options).program(for: fetches)
    return proof
  }

  private func failure(_ graph: Graph, _ fetch: Output, _ rule: Rule) -> Diagnostic? {
    #expect(throws: Diagnostic.self) { try prove(graph, [fetch], rule) }
  }

  /// A graph over values that passes know nothing of.
  private func graph(_ body: (Output) -> Output) -> (Graph, Output) {
    let graph = Graph()
    let handle = graph.variableHandle(.float32, shape: [8], name: "v")
    return (graph, body(readVariable(handle)))
  }

  // MARK: Rules

  @Test func aWrongRuleIsNamedWithNodeAndLine() throws {
    let line = #line + 1
    let (graph, y) = graph { exp(tanh($0), name: "y") }
    let rule = Rule("exp-of-tanh-is-tanh", .operation("Exp", .operation("Tanh", .value("x")))) {
      m throws(Diagnostic) in [m.operands[0]]
    }
    let found = try #require(failure(graph, y, rule))
    #expect(found.message.contains("rule 'exp-of-tanh-is-tanh' is wrong here"))
    #expect(found.operation == "Exp 'y'")
    #expect(found.site.resolved?.line == line)
    #expect(found.required?.hasSuffix("at element [0]") == true)
    #expect(found.notes.count == 1)
  }

  @Test(arguments: [
    // −0 + 0 is 0.
    ("AddV2", 0.0, "whole"),
    // ∞ · 0 is NaN, and so is NaN · 0.
    ("Mul", 0.0, "special"),
  ]) func bitsOfSpecialNumbersCount(operation: String, constant: Double, kind: String) throws {
    let (graph, y) = graph { operation == "AddV2" ? $0 + constant : abs($0) * constant }
    let sum = Pattern.operation("AddV2", .value("x"), .constant("c"))
    let product = Pattern.operation("Mul", .operation("Abs", .value("x")), .constant("c"))
    let rule = Rule("drop-zero", operation == "AddV2" ? sum : product) { m throws(Diagnostic) in
      operation == "AddV2" ? [m["x"]] : [zerosLike(m["x"])]
    }
    let found = try #require(failure(graph, y, rule))
    #expect(found.message.hasSuffix("it computes something else on \(kind) arrays"), "\(found)")
  }

  @Test func reorderedSumsMustBeCalledSo() throws {
    func rule(_ promise: Rule.Promise) -> Rule {
      Rule(
        "reorder-sum",
        .operation(
          "Sub", .operation("Sub", .value("a"), .value("b")), .operation("Neg", .operation("Exp", .value("c")))),
        promise: promise
      ) { m throws(Diagnostic) in [m["a"] + (exp(m["c"]) - m["b"])] }
    }
    // Martlet's own rule for negated terms would come first, so the driver is asked directly.
    func prove(_ promise: Rule.Promise) throws -> ProofReport {
      let (graph, y) = graph { $0.graph.addOne(Sub(), [tanh($0) - sin($0), -exp($0)]) }
      let session = try Session(graph, options: SessionOptions(device: .interpreter))
      let program = try session.program(for: [y], until: .typed)
      var context = PassContext(target: InterpreterBackend())
      let proof = Proof()
      context.ruleObservers = [try #require(proof.ruleObserver)]
      _ = try Rewriting(RuleSet("test", [rule(promise)])).run(program, &context)
      return proof.report
    }
    #expect(throws: Diagnostic.self) { try prove(.sameBits) }
    #expect(try prove(.sameButForRounding).entry(of: "reorder-sum")?.proved == 1)
  }

  @Test func aPoorFormIsRefusedThoughItIsEqualInRealArithmetic() throws {
    let (graph, y) = graph { expm1(abs($0)) }
    let rule = Rule(
      "expm1-to-exp", .operation("Expm1", .value("x")), promise: .noLessAccurate
    ) { m throws(Diagnostic) in [exp(m["x"]) - 1] }
    let proof = Proof()
    // Without the rule that would put it right again.
    let options = SessionOptions(
      device: .interpreter, rules: RuleSet("test", [rule]), disabledRules: ["exp-minus-one"], instruments: [proof])
    let found = #expect(throws: Diagnostic.self) { try Session(graph, options: options).program(for: [y]) }
    #expect(found?.message.contains("expm1-to-exp") == true)
  }

  @Test func integersAtTheEndsOfTheirTypeCount() throws {
    let graph = Graph()
    let i = readVariable(graph.variableHandle(.int32, shape: [8], name: "i"))
    let rule = Rule("absolute-of-square", .operation("Abs", .operation("Square", .value("x")))) {
      m throws(Diagnostic) in [m.operands[0]]
    }
    let found = try #require(failure(graph, abs(square(i)), rule))
    #expect(found.message.hasSuffix("arrays"))
  }

  @Test func equalExpressionsAreRunOnceAndLargeOnesNot() throws {
    let graph = Graph()
    let x = readVariable(graph.variableHandle(.float32, shape: [100], name: "x"))
    let rule = Rule("exp-of-log1p", .operation("Tanh", .operation("Neg", .value("x")))) { m throws(Diagnostic) in
      [-tanh(m["x"])]
    }
    let fetches = [tanh(-sin(x)), tanh(-cos(x)), tanh(-reshape(x, [10, 10]))]
    let entry = try prove(graph, fetches, rule).report.entry(of: "exp-of-log1p")
    #expect(entry?.firings == 3)
    #expect(entry?.proved == 2)
    var limits = Proof.Limits()
    limits.ruleWork = 10
    let report = try prove(graph, fetches, rule, limits: limits).report
    #expect(report.entry(of: "exp-of-log1p")?.skipped == 2)
    #expect(report.skippedCount == 2)
  }

  // MARK: Passes

  /// Puts another operation in the place of the nodes of one operation.
  private struct Replacing<Old: Operation>: Pass {
    let name = "ReplaceWrongly"
    let new: any Operation
    func run(_ program: Program, _ context: inout PassContext) throws -> Program {
      try program.mapFunctions { function, library throws(Diagnostic) in
        var rebuilder = GraphRebuilder(function, library: library)
        return try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
          let body = rebuilder.source.body
          guard body.operation(of: node) is Old else { return nil }
          return rebuilder.graph.insert(
            new, operands, name: body.name(of: node), controls: [], site: body.site(of: node),
            scope: body.scope(of: node)
          ).outputs
        }
      }
    }
  }

  /// Swaps the values of two variables.
  private struct SwappingVariables: Pass {
    let name = "SwapVariables"
    func run(_ program: Program, _ context: inout PassContext) throws -> Program {
      var program = program
      let results = program.variables.map(\.result)
      for (i, result) in results.reversed().enumerated() { program.variables[i].result = result }
      return program
    }
  }

  private func run(_ pass: any Pass, _ program: Program) throws -> ProofReport {
    let proof = Proof()
    let pipeline = Pipeline { Phase(.canonical) { pass } }
    _ = try pipeline.run(program, target: InterpreterBackend(), instruments: [proof])
    return proof.report
  }

  @Test(arguments: [ElementType.float32, .float16, .bfloat16])
  func aWrongPassIsNamedWithTheFirstNodeThatDiffers(_ type: ElementType) throws {
    let graph = Graph()
    let x = readVariable(graph.variableHandle(type, shape: [3], name: "x"))
    let before = sin(x, name: "before")
    let line = #line + 1
    let middle = exp(before, name: "middle")
    let y = sqrt(square(middle) + 1, name: "y")
    let session = try Session(graph, options: SessionOptions(device: .interpreter))
    let program = try session.program(for: [y], until: .typed)
    let found = #expect(throws: Diagnostic.self) { try run(Replacing<Exp>(new: Expm1()), program) }
    #expect(found?.message == "after ReplaceWrongly the program computes something else")
    #expect(found?.operation == "Expm1 'middle'")
    #expect(found?.site.resolved?.line == line)
    #expect(found?.notes.first?.message == "the first value that differs on the way to 'y'")
    #expect(try run(Replacing<Exp>(new: Exp()), program).passes.map(\.outcome) == [.unchanged])
  }

  /// From 0.1 to 0.9 the sine is up to a tenth greater than the hyperbolic tangent.
  @Test(arguments: [ElementType.float16, .bfloat16]) func smallFaultsInHalvesAreFound(_ type: ElementType) throws {
    let graph = Graph()
    let y = tanh(readVariable(graph.variableHandle(type, shape: [8], name: "x"))) * 3
    let session = try Session(graph, options: SessionOptions(device: .interpreter))
    let program = try session.program(for: [y], until: .typed)
    let found = #expect(throws: Diagnostic.self) { try run(Replacing<Tanh>(new: Sin()), program) }
    #expect(found?.message == "after ReplaceWrongly the program computes something else")
  }

  /// A kernel keeps in `float32` what its nodes rounded to 16 bits: 257 is not a number of bfloat16, nor 2049 of float16.
  @Test(arguments: [(ElementType.bfloat16, 256.0), (.float16, 2048)])
  func whatKernelsDoNotRoundIsProved(_ type: ElementType, _ shift: Double) throws {
    let graph = Graph()
    let x = readVariable(graph.variableHandle(type, shape: [40], name: "x"))
    let s = x.scalar(shift)
    let proof = Proof()
    let options = SessionOptions(device: .cpu, instruments: [VerifyInstrument(), proof])
    let y = relu(x + s - s) * 3 - tanh(x)
    _ = try Session(graph, options: options).program(for: [y])
    let outcome = proof.report.passes.last { $0.pass == "FormKernels" }?.outcome
    #expect(outcome.map { if case .proved = $0 { true } else { false } } == true)
  }

  /// Squares backwards, by code that takes and gives `float32` alone.
  private struct BackwardSquares: Operation {
    static let schema = Schema(
      "BackwardSquares", inputs: ["x": "T"], outputs: ["y": "T"], types: ["T": .init([.float32])])
    var differentiation: Differentiation { .none("it is a test") }
    func infer(_ operands: [Operand], _ context: InferenceContext) -> [Inference] { [Inference(operands[0].type)] }
    func lowering(_ l: inout LoweringContext) -> Lowering {
      .host(HostFunction { [Tensor($0[0].scalars(as: Float.self).reversed().map { $0 * $0 })] })
    }
  }

  /// In double precision too host code is given arrays of the types that it knows.
  @Test func hostCodeIsRunInItsOwnTypes() throws {
    let graph = Graph()
    let x = readVariable(graph.variableHandle(.float32, shape: [4], name: "x"))
    let squares = graph.addOne(BackwardSquares(), [exp(x) - 1])
    let proof = Proof()
    let options = SessionOptions(device: .interpreter, instruments: [VerifyInstrument(), proof])
    _ = try Session(graph, options: options).program(for: [sum(squares * 2)])
    #expect(proof.report.entry(of: "exp-minus-one")?.proved == 1)
    #expect(proof.report.passes.contains { if case .proved = $0.outcome { true } else { false } })
  }

  @Test func variablesCount() throws {
    let graph = Graph()
    let handles = ["a", "b"].map { graph.variableHandle(.float32, shape: [3], name: $0) }
    let targets = zip(handles, [2.0, 3.0]).map { assign($0, readVariable($0) * $1) }
    let session = try Session(graph, options: SessionOptions(device: .interpreter))
    let program = try session.program(for: [], targets: targets, until: .canonical)
    #expect(throws: Diagnostic.self) { try run(SwappingVariables(), program) }
  }

  /// Inference gives each call of a sub-graph random numbers of its own, so the program computes something else from there on.
  @Test func callsThatDrawAreComparedOnceTheirNumbersAreFixed() throws {
    let graph = Graph()
    let x = graph.constant([0, 0, 0, 0] as [Float])
    let draw = graph.buildFunction("draw", arguments: [x.type]) { [$0[0] + graph.randomUniform([4])] }
    let y = graph.call(draw, [x], name: "first")[0] + graph.call(draw, [x], name: "second")[0]
    let proof = Proof()
    let options = SessionOptions(device: .interpreter, instruments: [proof])
    _ = try Session(graph, options: options).program(for: [y])
    let passes = proof.report.passes
    #expect(passes.first?.outcome == .skipped("its calls do not draw random numbers of their own yet"))
    #expect(passes.contains { if case .proved = $0.outcome { true } else { false } })
  }

  @Test func loopsThatGeneratedNumbersKeepTurningAreLeftOut() throws {
    let graph = Graph()
    let limit = readVariable(graph.variableHandle(.int64, shape: [], name: "limit"))
    let count = whileLoop([graph.constant(Int64(0))]) { state in
      state[0] .< square(limit) + graph.constant(Int64(1) << 40)
    } body: { state in
      [state[0] + graph.constant(Int64(1))]
    }
    let proof = Proof()
    let options = SessionOptions(device: .interpreter, instruments: [proof])
    _ = try Session(graph, options: options).program(for: count)
    #expect(proof.report.passes.contains { $0.outcome == .skipped("it cannot be run on generated arrays") })
  }

  @Test func whatIsTooLargeIsReported() throws {
    let graph = Graph()
    let a = readVariable(graph.variableHandle(.float32, shape: [300, 300], name: "a"))
    let proof = Proof()
    let options = SessionOptions(device: .interpreter, instruments: [proof])
    _ = try Session(graph, options: options).program(for: [matMul(a, a)])
    #expect(proof.report.passes.contains { $0.outcome == .skipped("it computes 27000000 elements") })
    #expect(proof.report.skippedCount > 0)
    #expect(proof.report.description.contains("not compared"))
  }
}
