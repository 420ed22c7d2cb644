import Martlet
import MartletTestSupport
import Testing

/// Variables become constants.
@Suite struct FreezingTests {
  @Test func readsBecomeConstants() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, 2], name: "x")
    let w = graph.variable("layer/w", [2, 1], .constant(3))
    let b = graph.variable("layer/b", [1], .zeros)
    let y = identity(matMul(x, w) + b, name: "y")
    let train = GradientDescent(learningRate: 0.5).minimize(sum(y))
    let session = try Session(graph)
    try session.run(graph.initializer)
    try session.run([], feeds: [x: Tensor([1, 2] as [Float], shape: [1, 2])], targets: [train])
    // Each weight less half its feed, the bias less a half.
    let frozen = try session.frozen(outputs: [y])
    let names = frozen.storage.nodes.map { frozen.storage.name(of: $0) }
    #expect(names.contains("layer/w") && names.contains("layer/b"))
    #expect(!frozen.storage.nodes.contains { frozen.schemaName(of: $0).hasPrefix("VarHandle") })
    #expect(frozen.nodeCount == 6)
    try Fixture.withTemporaryFolder { folder in
      try session.saveFrozen(folder + "/model.pb", outputs: [y])
      let loaded = try Graph(loading: folder + "/model.pb")
      let feed = Tensor([10, 100] as [Float], shape: [1, 2])
      let value = try Session(loaded).run(
        try #require(loaded.output(named: "y")), feeds: [try #require(loaded.output(named: "x")): feed])
      let expected: Float = 10 * 2.5 + 100 * 2 - 0.5
      #expect(value.scalars(as: Float.self) == [expected])
    }
  }

  /// Variables that branches and loops use, and those that they pass on.
  @Test func branchesAndLoopsAreFrozen() throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [], name: "v")
    let flag = graph.placeholder(.bool, shape: [], name: "flag")
    let y = cond(flag) {
      whileLoop([graph.constant(1.0)]) {
        $0[0] .< 100
      } body: {
        [$0[0] * readVariable(v)]
      }[0]
    } else: {
      readVariable(v)
    }
    let frozen = try graph.frozen(values: ["v": Tensor(Float(3))], outputs: [y])
    #expect(!GraphPrinter().print(frozen).contains("variable<"))
    let session = try Session(frozen)
    let output = try #require(frozen.output(named: y.name))
    let feed = try #require(frozen.output(named: "flag"))
    #expect(try session.run(output, feeds: [feed: Tensor(true)]).item(as: Float.self) == 243)
    #expect(try session.run(output, feeds: [feed: Tensor(false)]).item(as: Float.self) == 3)
  }

  @Test func variablesWithoutAValueStay() throws {
    let graph = Graph()
    let y = readVariable(graph.variableHandle(.float32, shape: [2], name: "v"))
    let frozen = try graph.frozen(values: [:], outputs: [y])
    #expect(frozen.nodeCount == 2)
  }

  @Test func mistakesAreNamed() throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [2], name: "v")
    let y = graph.withControlDependencies([assign(v, graph.constant([1, 2] as [Float]), name: "set").id]) {
      readVariable(v)
    }
    var error = #expect(throws: Diagnostic.self) {
      try graph.frozen(values: ["v": Tensor([1, 2] as [Float])], outputs: [y])
    }
    #expect(try #require(error).description.contains("AssignVariableOp 'set'"))
    error = #expect(throws: Diagnostic.self) { try graph.frozen(values: ["v": Tensor(Float(1))], outputs: [y]) }
    #expect(try #require(error).description.contains("does not fit the variable 'v'"))
  }
}
