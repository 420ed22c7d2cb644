import Martlet
import MartletGraph
import MartletOperations
import MartletRewriting
import Testing

private struct Anything: Target {
  let name = "cpu"
  let machine = TargetMachine()
  func claims(_ contract: LibraryContract) -> Bool { false }
}

/// The program that computes `outputs`, with placeholders as its arguments.
private func program(_ graph: Graph, _ outputs: [Output]) -> Program {
  let storage = graph.storage
  let arguments = storage.nodes.filter { storage.traits(of: $0).contains(.placeholder) }.flatMap {
    storage.results(of: $0)
  }
  let main = GraphFunction(name: "main", body: storage, arguments: arguments, results: outputs.map(\.id))
  return Program(main: main, library: graph.library)
}

@Suite struct RuleDriverTests {
  private func rewrite(_ rule: Rule, _ program: Program) throws -> (String, Int) {
    var context = PassContext(target: Anything())
    let result = try Rewriting(RuleSet("test", [rule])).run(program, &context)
    return (GraphPrinter().print(result.main), context.firings(of: rule.name))
  }

  @Test func operandsOfCommutativeOperationsMatchInBothOrders() throws {
    let rule = Rule("test-rule", .operation("AddV2", .operation("Neg", .value("a")), .value("b"))) {
      m throws(Diagnostic) in [m.graph.addOne(Sub(), [m["b"], m["a"]])]
    }
    for isFirst in [true, false] {
      let graph = Graph()
      let x = graph.placeholder(.float32, shape: [2], name: "x")
      let y = graph.placeholder(.float32, shape: [2], name: "y")
      let negated = -x
      let sum = isFirst ? negated + y : y + negated
      let (text, count) = try rewrite(rule, program(graph, [sum]))
      #expect(count == 1)
      #expect(text.contains("Sub(%y, %x)"))
    }
  }

  @Test func aNameThatStandsTwiceMustBeOneValue() throws {
    let rule = Rule("test-rule", .operation("Sub", .value("a"), .value("a"))) { m throws(Diagnostic) in [m["a"]] }
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let y = graph.placeholder(.float32, shape: [2], name: "y")
    #expect(try rewrite(rule, program(graph, [x - y])).1 == 0)
    #expect(try rewrite(rule, program(graph, [x - x])).1 == 1)
  }

  @Test func aReplacementOfAnotherTypeIsRefused() {
    let rule = Rule("test-rule", .operation("Neg", .value("a"))) { m throws(Diagnostic) in
      [m.graph.constant(1.0)]
    }
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    #expect(throws: Diagnostic.self) { try rewrite(rule, program(graph, [-x])) }
  }

  @Test func newNodesTakeTheNameOfTheOld() throws {
    let rule = Rule("test-rule", .operation("Neg", .value("a"))) { m throws(Diagnostic) in
      [m.graph.addOne(Square(), [m["a"]])]
    }
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let y = graph.addOne(Neg(), [x], name: "scope/y")
    #expect(try rewrite(rule, program(graph, [y])).0.contains("%scope/y = Square(%x)"))
  }

  @Test func fixpointsEnd() throws {
    // Two rules that undo each other: the bound stops them.
    let rules = RuleSet(
      "test",
      [
        Rule("square-to-product", .operation("Square", .value("a"))) { m throws(Diagnostic) in
          [m.graph.addOne(Mul(), [m["a"], m["a"]])]
        },
        Rule("product-to-square", .operation("Mul", .value("a"), .value("a"))) { m throws(Diagnostic) in
          [m.graph.addOne(Square(), [m["a"]])]
        },
      ])
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    var context = PassContext(target: Anything())
    let pass = Fixpoint("test", limit: 6) { Rewriting(rules) }
    _ = try pass.run(program(graph, [square(x)]), &context)
    #expect(context.firings(of: "square-to-product") == 3)
    #expect(context.warnings.map(\.message) == ["test has not come to an end after 6 rounds"])
    #expect(context.warnings.map(\.found) == ["still firing: product-to-square (1)"])

    // The same as an error where the pipeline is verified, and for statistics.
    let statistics = StatisticsInstrument()
    let pipeline = Pipeline { Phase(.graph) { pass } }
    let whole = program(graph, [square(x)])
    _ = try pipeline.run(whole, target: Anything(), instruments: [statistics])
    #expect(statistics.warnings.count == 1)
    let error = #expect(throws: Diagnostic.self) {
      try pipeline.run(whole, target: Anything(), instruments: [VerifyInstrument()])
    }
    #expect(error?.message == "test has not come to an end after 6 rounds")
  }

  @Test func fixpointsThatEndInTimeWarnOfNothing() throws {
    let rule = Rule("remove-double-negation", .operation("Neg", .operation("Neg", .value("a")))) {
      m throws(Diagnostic) in [m["a"]]
    }
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    var context = PassContext(target: Anything())
    _ = try Fixpoint("test", limit: 2) { Rewriting(RuleSet("test", [rule])) }.run(program(graph, [-(-x)]), &context)
    #expect(context.warnings.isEmpty)
  }

  @Test func instrumentsSeeEachPass() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let pipeline = Pipeline { Phase(.graph) { Rewriting(RuleSet("empty", [])) } }
    let statistics = StatisticsInstrument()
    _ = try pipeline.run(program(graph, [-x]), target: Anything(), instruments: [statistics, VerifyInstrument()])
    #expect(statistics.times.map(\.pass) == ["Rewrite(empty)"])
    #expect(statistics.repeated.isEmpty)
  }

  @Test func instrumentsSeeRoundsOfAFixpoint() throws {
    let rules = RuleSet("double", [Rule("remove", .operation("Neg", .operation("Neg", .value("x")))) { [$0["x"]] }])
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let pipeline = Pipeline { Phase(.graph) { Fixpoint("both") { Rewriting(rules) } } }
    let statistics = StatisticsInstrument()
    _ = try pipeline.run(program(graph, [-(-x)]), target: Anything(), instruments: [statistics])
    #expect(statistics.times.map(\.pass) == ["both"])
    // One round removes, one finds nothing left.
    #expect(statistics.repeated.map(\.pass) == ["Rewrite(double)"])
    #expect(statistics.repeated.map(\.rounds) == [2])
  }
}
