import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletTensors
import Testing

@Suite struct GraphBuildingTests {
  @Test func namesAreMadeUnique() {
    let graph = Graph()
    let names = (0..<3).map { _ in graph.placeholder(.float32, name: "x").name }
    #expect(names == ["x", "x_1", "x_2"])
  }

  @Test func aNameTakenByHandIsSkipped() {
    let graph = Graph()
    _ = graph.placeholder(.float32, name: "x_1")
    #expect(graph.placeholder(.float32, name: "x").name == "x")
    #expect(graph.placeholder(.float32, name: "x").name == "x_2")
  }

  @Test func scopesNestAndAreNumbered() {
    let graph = Graph()
    func build() -> String {
      graph.withNameScope("layer") { graph.withNameScope("inner") { graph.constant(1.0, name: "c").name } }
    }
    #expect(build() == "layer/inner/c")
    #expect(build() == "layer_1/inner/c")
  }

  @Test func controlDependenciesAreKept() {
    let graph = Graph()
    let a = graph.addNode(NoOp(), name: "a")
    let b = graph.withControlDependencies([a.id]) { graph.addNode(NoOp(), name: "b") }
    #expect(graph.storage.controls(of: b.id) == [a.id])
  }

  @Test func equalOperationsAreInternedOnce() {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2])
    let y = x + x
    let z = y + x
    #expect(graph.storage.operationID(of: y.node) == graph.storage.operationID(of: z.node))
  }

  @Test func zeroAndNegativeZeroAreDifferentConstants() {
    let graph = Graph()
    let a = graph.constant(0.0)
    let b = graph.constant(-0.0)
    let c = graph.constant(Double.nan)
    let d = graph.constant(Double.nan)
    #expect(graph.storage.operationID(of: a.node) != graph.storage.operationID(of: b.node))
    #expect(graph.storage.operationID(of: c.node) == graph.storage.operationID(of: d.node))
  }

  @Test func forwardingPutsANewValueInTheOldOnesPlace() {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let y = -x
    let z = graph.placeholder(.float32, shape: [2], name: "z")
    let user = y + x
    graph.forward(y, to: z)
    #expect(graph.storage.operands(of: user.node) == [z.id, x.id])
    graph.forward(z, to: x)
    #expect(graph.storage.operands(of: user.node) == [x.id, x.id])
  }

  @Test func aMistakeIsRecordedAndSilencesWhatFollows() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2, 3], name: "x")
    let y = graph.placeholder(.float32, shape: [4], name: "y")
    let sum = x + y
    let line = #line - 1
    _ = sum * 2
    #expect(sum.type == .poison)
    #expect(graph.diagnostics.count == 1)
    let mistake = try #require(graph.diagnostics.first)
    #expect(mistake.operation == "AddV2 'AddV2'")
    #expect(mistake.operand == "y")
    #expect(mistake.site.resolved?.line == line)
  }

  @Test func operandsOfAnotherGraphAreRefused() {
    let x = Graph().placeholder(.float32, shape: [2], name: "x")
    let graph = Graph()
    let y = graph.addOne(AddV2(), [graph.placeholder(.float32, shape: [2]), x])
    #expect(y.type == .poison)
    #expect(graph.diagnostics.first?.message.contains("another graph") == true)
  }

  @Test func elementTypesMustAgree() {
    let graph = Graph()
    let sum = graph.placeholder(.float32, shape: [2]) + graph.placeholder(.int32, shape: [2])
    #expect(sum.type == .poison)
    #expect(graph.diagnostics.first?.hint == "convert one with cast(_:to:)")
  }

  @Test func functionsCaptureWhatTheyUse() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let two = graph.constant(2.0, name: "two")
    let built = graph.buildFunction("f", arguments: [.tensor(.float32, [2])]) { [x * $0[0] * two] }
    #expect(built.captures == [x])
    let function = try #require(graph.library[built.name])
    #expect(function.arguments.count == 2)
    // The constant was copied, so the graph around has no product.
    #expect(graph.nodeCount == 2)
    #expect(built.signature.results == [.tensor(.float32, [2])])
  }

  @Test func nestedFunctionsCaptureThroughEachLevel() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    var inner: Graph.BuiltFunction?
    let outer = graph.buildFunction("outer", arguments: []) { _ in
      inner = graph.buildFunction("inner", arguments: []) { _ in [-x] }
      return [x]
    }
    #expect(outer.captures == [x])
    #expect(inner?.captures.count == 1)
    #expect(graph.library[FunctionName("inner")] != nil)
  }

  @Test(arguments: [10_000]) func aLongChainIsBuiltAndOrderedWithoutRecursion(count: Int) {
    let graph = Graph()
    var x = graph.placeholder(.float32, shape: [2])
    for _ in 0..<count { x = x + x }
    #expect(graph.storage.topologicalOrder(results: [x.id], targets: []).count == count + 1)
  }
}
