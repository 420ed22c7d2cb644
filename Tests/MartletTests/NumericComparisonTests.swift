import Martlet
import Testing

@Suite struct NumericComparisonTests {
  /// A program with one feed of four elements.
  private func program(_ body: (Output) -> Output) -> Program {
    let graph = Graph()
    let x = graph.addOne(Argument(index: 0, type: .tensor(.float32, [4])), name: "x")
    let y = body(x)
    return Program(
      main: GraphFunction(name: "main", body: graph.storage, arguments: [x.id], results: [y.id]),
      library: graph.library)
  }

  private func difference(_ old: Program, _ new: Program) throws -> NumericComparison.Difference {
    let comparison = NumericComparison()
    try comparison.instrument.after("Suspect", from: old, to: new, time: .zero)
    return try #require(comparison.differences.first)
  }

  @Test("Programs that compute the same differ in nothing")
  func equal() throws {
    let difference = try difference(program { $0 * 2 }, program { $0 + $0 })
    #expect(difference.pass == "Suspect")
    #expect(difference.absolute == 0)
    #expect(difference.relative == 0)
  }

  @Test("A wrong constant shows in both distances")
  func wrong() throws {
    let difference = try difference(program { $0 * 0 + 1 }, program { $0 * 0 + 4 })
    #expect(difference.absolute == 3)
    #expect(difference.relative == 0.75)
    #expect(difference.name == "fetch 0")
  }

  @Test("A NaN on one side alone is infinitely wrong, on both sides right")
  func notANumber() throws {
    let nan = program { sqrt($0 * 0 - 1) }
    #expect(try difference(nan, program { $0 }).relative == .infinity)
    #expect(try difference(nan, nan).absolute == 0)
  }

  @Test("A result of another shape is a fault of the pass")
  func otherShape() {
    let comparison = NumericComparison()
    #expect {
      try comparison.instrument.after(
        "Suspect", from: program { $0 }, to: program { reshape($0, [2, 2]) }, time: .zero)
    } throws: { error in
      let diagnostic = error as? Diagnostic
      return diagnostic?.required == "float32[4]" && diagnostic?.found == "float32[2, 2]"
    }
  }

  @Test("Every pass of a training step leaves the numbers as they are")
  func training() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, 6], name: "x")
    let labels = graph.placeholder(.int32, shape: [nil], name: "labels")
    let w = graph.variable("w", [6, 3], .glorotUniform)
    let b = graph.variable("b", [3], .zeros)
    let loss = mean(sparseSoftmaxCrossEntropy(logits: biasAdd(matMul(x, w), b), labels: labels))
    let step = Adam().minimize(loss)
    let comparison = NumericComparison()
    let session = try Session(
      graph, options: SessionOptions(device: .interpreter, instruments: [comparison.instrument]))
    _ = try session.program(
      for: [loss], targets: [step],
      feeds: [x: TensorType(.float32, [5, 6]), labels: TensorType(.int32, [5])])
    #expect(comparison.differences.map(\.pass).contains("PromoteState"))
    #expect(comparison.differences.allSatisfy { $0.relative < 1e-5 })
  }

  @Test("A compiled program becomes a graph with the same results, variables and updates")
  func graphOfProgram() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil], name: "x")
    let w = graph.variable("scope/w", [2], .constant(3))
    let y = identity(x * w, name: "y")
    let update = try #require(w.variable?.assign(w * 2, name: "double"))
    let session = try Session(graph, options: SessionOptions(device: .interpreter))
    let program = try session.program(
      for: [y], targets: [update], feeds: [x: TensorType(.float32, [2])], until: .canonical)
    let copy = try Graph(program, outputNames: ["y"])
    let second = try Session(copy, options: SessionOptions(device: .interpreter))
    let variable = try #require(copy.output(named: "scope/w"))
    try second.assign(variable, Tensor([1, 10] as [Float]))
    let feeds = [try #require(copy.output(named: "x")): Tensor([5, 7] as [Float])]
    let fetch = try #require(copy.output(named: "y"))
    let target = GraphNode(copy, try #require(copy.node(named: "update")))
    #expect(try second.run([fetch], feeds: feeds, targets: [target]) == [Tensor([5, 70] as [Float])])
    #expect(try second.value(of: variable) == Tensor([2, 20] as [Float]))
  }
}
