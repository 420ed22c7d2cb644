import Martlet
import Testing

@Suite struct VariableTests {
  @Test func aVariableIsFoundByItsValue() throws {
    let graph = Graph()
    let w = graph.variable("w", [2, 3], .zeros)
    let state = graph.variable("state", [], .zeros, trainable: false)
    let variable = try #require(w.variable)
    #expect(variable.name == "w")
    #expect(variable.isTrainable)
    #expect(graph.variables.map(\.name) == ["w", "state"])
    #expect(graph.trainableVariables.map(\.name) == ["w"])
    #expect((w + 1).variable == nil)
    #expect(state.variable?.isTrainable == false)
  }

  @Test func namesFollowScopesAndAreUnique() {
    let graph = Graph()
    graph.withNameScope("layer") {
      _ = graph.variable("w", [1], .zeros)
      _ = graph.variable("w", [1], .ones)
    }
    #expect(graph.variables.map(\.name) == ["layer/w", "layer/w_1"])
  }

  @Test func assignmentsTakePlaceWhenTheyAreRun() throws {
    let graph = Graph()
    let counter = graph.variable("counter", [], .zeros)
    let increment = try #require(counter.variable).assignAdd(graph.constant(1.0))
    let session = try Session(graph)
    try session.run(graph.initializer)
    for _ in 0..<3 { try session.run(increment) }
    #expect(try session.value(of: counter).doubles() == [3])
  }

  @Test func aReadingBehindAControlDependencySeesTheAssignment() throws {
    let graph = Graph()
    let v = graph.variable("v", [], .constant(1))
    let variable = try #require(v.variable)
    let assignment = variable.assign(v * 10)
    let after = graph.withControlDependencies([assignment.id]) { variable.read() }
    let session = try Session(graph)
    try session.run(graph.initializer)
    let results = try session.run([v, after])
    #expect(results.map { $0.doubles() } == [[1], [10]])
  }
}
