import Martlet
import MartletPasses
import Testing

/// Variables become arguments and results of the program, in the order of the effects.
@Suite struct PromoteStateTests {
  private func promote(_ graph: Graph, _ results: [Output], _ targets: [GraphNode] = []) throws -> Program {
    let main = GraphFunction(
      name: "main", body: graph.storage, arguments: [], results: results.map(\.id), targets: targets.map(\.id))
    return try PromoteState().run(Program(main: main, library: graph.library))
  }

  private func operations(_ function: GraphFunction) -> [String] {
    function.body.topologicalOrder(results: function.results, targets: function.targets).map {
      function.body.schema(of: $0).name
    }
  }

  @Test func readAssignedAndUpdatedVariables() throws {
    let graph = Graph()
    let handles = ["read", "assigned", "both"].map { graph.variableHandle(.float32, shape: [2], name: $0) }
    let value = readVariable(handles[0])
    let targets = [assign(handles[1], value), assignSub(handles[2], value)]
    let program = try promote(graph, [value], targets)
    let type = TensorType(.float32, [2])
    // One fetch goes before the variables' results; there are no feeds before their arguments.
    #expect(
      program.variables == [
        VariableBinding(name: "read", type: type, argument: 0, result: nil),
        VariableBinding(name: "both", type: type, argument: 1, result: 2),
        VariableBinding(name: "assigned", type: type, argument: nil, result: 1),
      ])
    #expect(operations(program.main) == ["_Arg", "_Arg", "Sub"])
    #expect(program.main.results[0] == program.main.arguments[0])
    #expect(program.main.results[1] == program.main.arguments[0])
    #expect(program.main.targets.isEmpty)
  }

  @Test func readsSeeTheAssignmentsBeforeThem() throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [], name: "v")
    let first = readVariable(v)
    let set = assign(v, first * 2)
    let second = readVariable(v)
    let program = try promote(graph, [first, second], [set])
    let (main, body) = (program.main, program.main.body)
    #expect(main.results[0] == main.arguments[0])
    #expect(body.schema(of: body.producer(of: main.results[1])).name == "Mul")
    #expect(main.results[2] == main.results[1])
  }

  @Test func whatIsNotAskedForDoesNotRun() throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [], name: "v")
    let value = readVariable(v)
    assign(v, value + 1)
    let program = try promote(graph, [value])
    #expect(program.variables.map(\.result) == [nil])
    #expect(operations(program.main) == ["_Arg"])
  }

  @Test func branchesTakeAndGiveVariables() throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [3], name: "v")
    let w = graph.variableHandle(.float32, shape: [3], name: "w")
    let results = cond(graph.constant(true)) {
      assign(v, readVariable(w))
      return [graph.constant(1 as Float)]
    } else: {
      [graph.constant(2 as Float)]
    }
    let program = try promote(graph, results)
    #expect(program.variables.map(\.name) == ["w", "v"])
    // The branch that leaves v as it is needs its value from before.
    #expect(program.variables.map(\.argument) == [0, 1])
    #expect(program.variables.map(\.result) == [nil, 1])
    let names = program.main.body.nodes.flatMap { program.main.body.operation(of: $0).functions }
    #expect(names.count == 2)
    for name in names {
      let function = try #require(program.library[name])
      #expect(function.signature.results.map(\.description) == ["float32[]", "float32[3]"])
      #expect(function.signature.arguments.allSatisfy { $0.tensor != nil })
    }
    #expect(!program.main.body.nodes.contains { program.main.body.hasEffect($0) })
  }

  @Test func callsTakeAndGiveVariables() throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [], name: "v")
    let function = graph.buildFunction("double", arguments: [.tensor(.float32, [])]) { arguments in
      assign(v, readVariable(v) * 2)
      return [arguments[0] + readVariable(v)]
    }
    let first = graph.call(function, [graph.constant(1 as Float)])[0]
    let second = graph.call(function, [first])[0]
    let session = try Session(graph, options: SessionOptions(instruments: [VerifyInstrument()]))
    try session.assign(v, Tensor(3 as Float))
    let results = try session.run([first, second]).map { $0.item(as: Float.self) }
    #expect(results == [7, 19])
    #expect(try session.value(of: v).item() == 12 as Float)
  }

  @Test func checksRemainAndAreTargets() throws {
    let graph = Graph()
    let v = graph.variableHandle(.bool, shape: [], name: "v")
    let check = assertTrue(readVariable(v), [])
    let value = graph.withControlDependencies([check.id]) { graph.constant(1 as Float) + 1 }
    let program = try promote(graph, [value])
    #expect(program.main.targets.count == 1)
    #expect(program.main.body.schema(of: program.main.targets[0]).name == "Assert")
    #expect(program.main.body.nodes.allSatisfy { program.main.body.controls(of: $0).isEmpty })
  }

  @Test func aLoopsConditionMayNotAssign() throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [], name: "v")
    let loop = whileLoop([graph.constant(0 as Float)]) { state in
      assign(v, state[0])
      return state[0] .< 1
    } body: { state in
      [state[0] + 1]
    }
    let error = #expect(throws: Diagnostic.self) { try promote(graph, loop) }
    #expect(error?.message == "the loop's condition assigns the variable 'v'")
    #expect(error?.operation?.hasPrefix("While") == true)
  }

  @Test func oneNameStandsForOneType() throws {
    let graph = Graph()
    let a = graph.addOne(VarHandleOp(.float32, shape: [2], sharedName: "shared"))
    let b = graph.addOne(VarHandleOp(.float32, shape: [3], sharedName: "shared"))
    let error = #expect(throws: Diagnostic.self) { try promote(graph, [readVariable(a), readVariable(b)]) }
    #expect(error?.message == "two variables have the name 'shared'")
  }

  @Test func branchesLeaveAVariableInOneShape() throws {
    let graph = Graph()
    let p = graph.placeholder(.bool, shape: [], name: "p")
    let v = graph.variableHandle(.float32, shape: [nil], name: "v")
    let y = cond(p) { () -> Output in
      assign(v, graph.constant([1, 2] as [Float]))
      return graph.constant(1.0)
    } else: { () -> Output in
      assign(v, graph.constant([1, 2, 3] as [Float]))
      return graph.constant(2.0)
    }
    let error = #expect(throws: Diagnostic.self) {
      try Session(graph, options: SessionOptions(device: .interpreter)).run([y], feeds: [p: Tensor(true)])
    }
    #expect(error?.message == "the branches leave the variable 'v' in different shapes")
    #expect(error?.found == "float32[3]")
    #expect(error?.operation == "If 'cond'")
  }
}
