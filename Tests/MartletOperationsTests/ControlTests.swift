import MartletDiagnostics
import MartletGradients
import MartletGraph
import MartletOperations
import MartletTensors
import MartletTestSupport
import Testing

/// Branches, loops and calls.
@Suite struct ControlTests {
  let graph = Graph()

  private func scalar(_ x: Output, _ feeds: [Output: Tensor] = [:]) throws -> Float {
    try evaluate([x], feeds: feeds)[0].item(as: Float.self)
  }

  /// The only result of a sub-graph of scalars.
  private func call(_ function: GraphFunction, _ arguments: [Float]) throws -> Float? {
    var evaluator = ReferenceEvaluator()
    let results = try evaluator.call(function, library: graph.library, arguments.map { .tensor(Tensor($0)) })
    guard case .tensor(let value) = results[0] else { return nil }
    return value.item(as: Float.self)
  }

  @Test func branches() throws {
    let x = graph.placeholder(.float32, shape: [])
    let y = graph.placeholder(.float32, shape: [])
    let z = cond(x .> 0) {
      x * 2
    } else: {
      x - y
    }
    #expect(z.type == .tensor(.float32, .scalar))
    #expect(graph.schemaName(of: z.node) == "StatelessIf")
    // Both branches take x, then y.
    #expect(graph.operands(of: z.node).dropFirst() == [x, y])
    #expect(try scalar(z, [x: Tensor(Float(3)), y: Tensor(Float(1))]) == 6)
    #expect(try scalar(z, [x: Tensor(Float(-3)), y: Tensor(Float(1))]) == -4)
    #expect(graph.diagnostics.isEmpty)
  }

  @Test func nestedBranches() throws {
    let x = graph.placeholder(.float32, shape: [])
    let y = cond(x .> 0) {
      cond(x .> 10) {
        x - 10
      } else: {
        x + 100
      }
    } else: {
      -x
    }
    for (given, expected) in [(12, 2), (3, 103), (-5, 5)] as [(Float, Float)] {
      #expect(try scalar(y, [x: Tensor(given)]) == expected)
    }
  }

  @Test func branchesOfDifferentExtents() {
    let n = Dimension.symbol(named: "n")
    let x = graph.placeholder(.float32, shape: Shape([n, 3]))
    let p = graph.placeholder(.bool, shape: [])
    let y = cond(p) {
      x
    } else: {
      concat([x, x], axis: 0)
    }
    #expect(y.rank == 2)
    #expect(y.shape[1] == 3)
    #expect(y.shape[0] != n)
    let z = cond(p) {
      reshape(x, [-1])
    } else: {
      x
    }
    #expect(z.rank == nil)
  }

  @Test func loops() throws {
    let limit = graph.placeholder(.int32, shape: [])
    let zero = graph.constant(0)
    let results = whileLoop([zero, zero]) {
      $0[0] .< limit
    } body: {
      [$0[0] + 1, $0[1] + $0[0]]
    }
    #expect(graph.schemaName(of: results[0].node) == "StatelessWhile")
    let values = try evaluate(results, feeds: [limit: Tensor(Int32(10))])
    #expect(values.map { $0.item(as: Int32.self) } == [10, 45])
    #expect(try evaluate(results, feeds: [limit: Tensor(Int32(-1))])[1].item(as: Int32.self) == 0)
  }

  @Test func loopsThatGrow() throws {
    let x = graph.placeholder(.float32, shape: [1])
    let grown = whileLoop([x], shapeInvariants: [[nil]]) {
      size(of: $0[0]) .< 5
    } body: {
      [concat($0 + $0, axis: 0)]
    }
    #expect(grown[0].shape.rank == 1)
    #expect(graph.diagnostics.isEmpty)
    let value = try evaluate(grown, feeds: [x: Tensor([7] as [Float])])[0]
    #expect(value.scalars(as: Float.self) == [Float](repeating: 7, count: 8))
  }

  @Test func effectsMakeBranchesAndLoopsStateful() {
    let variable = graph.variableHandle(.float32, shape: [], name: "v")
    let p = graph.placeholder(.bool, shape: [])
    let read = cond(p) {
      readVariable(variable)
    } else: {
      graph.constant(0.0)
    }
    #expect(graph.schemaName(of: read.node) == "If")
    let checked = cond(p) { () -> Output in
      assertTrue(p)
      return graph.constant(1.0)
    } else: {
      graph.constant(0.0)
    }
    #expect(graph.schemaName(of: checked.node) == "If")
    let counted = whileLoop([graph.constant(0.0)]) {
      $0[0] .< 3
    } body: {
      assignAdd(variable, $0[0])
      return [$0[0] + 1]
    }
    #expect(graph.schemaName(of: counted[0].node) == "While")
    #expect(graph.diagnostics.isEmpty)
  }

  @Test func calls() throws {
    let x = graph.placeholder(.float32, shape: [2])
    let offset = graph.placeholder(.float32, shape: [])
    let function = graph.buildFunction("affine", arguments: [x.type]) { [$0[0] * 2 + offset] }
    let y = graph.call(function, [x])
    #expect(graph.schemaName(of: y[0].node) == "PartitionedCall")
    let value = try evaluate(y, feeds: [x: Tensor([1, 2] as [Float]), offset: Tensor(Float(10))])[0]
    #expect(value.scalars(as: Float.self) == [12, 14])
  }

  @Test func aGradientOfOnesOwn() throws {
    let x = graph.placeholder(.float32, shape: [])
    let y = withCustomGradient([x], name: "clipped") {
      [$0[0] * 3]
    } gradient: { _, _, dy in
      [dy[0] * 100]
    }
    #expect(try scalar(y[0], [x: Tensor(Float(2))]) == 6)
    let function = try #require(graph.library[FunctionName("clipped")])
    #expect(function.gradient == FunctionName("clipped_gradient"))
    let rule = try #require(graph.library[FunctionName("clipped_gradient")])
    #expect(rule.signature.arguments.count == 3)
    #expect(try call(rule, [2, 6, 0.5]) == 50)
    #expect(graph.diagnostics.isEmpty)
  }

  @Test func gradientsOfBranches() throws {
    let x = graph.placeholder(.float32, shape: [])
    let y = graph.placeholder(.float32, shape: [])
    let z = cond(x .> 0) {
      x * x * y
    } else: {
      x - 3 * stopGradient(y)
    }
    let found = try gradients(of: [z], withRespectTo: [x, y], unconnected: .zeros).compactMap { $0 }
    for (given, expected) in [([3, 5], [30, 9]), ([-3, 5], [1, 0])] as [([Float], [Float])] {
      let feeds = [x: Tensor(given[0]), y: Tensor(given[1])]
      #expect(try evaluate(found, feeds: feeds).map { $0.item(as: Float.self) } == expected)
    }
    // Once more: the derivative of 2xy.
    let second = try gradients(of: [found[0]], withRespectTo: [x]).compactMap { $0 }
    #expect(try scalar(second[0], [x: Tensor(Float(3)), y: Tensor(Float(5))]) == 10)
    #expect(graph.diagnostics.isEmpty)
  }

  @Test func gradientsOfCalls() throws {
    let x = graph.placeholder(.float32, shape: [])
    let clipped = withCustomGradient([x], name: "clipped") {
      [$0[0] * 3]
    } gradient: { _, _, dy in
      [dy[0] * 100]
    }
    let function = graph.buildFunction("square", arguments: [x.type]) { [$0[0] * $0[0]] }
    let square = graph.call(function, [x])
    let found = try gradients(of: clipped + square, withRespectTo: [x]).compactMap { $0 }
    #expect(try scalar(found[0], [x: Tensor(Float(2))]) == 104)
  }

  @Test func theGradientOfALoopIsRefused() throws {
    let x = graph.placeholder(.float32, shape: [])
    let y = whileLoop([x]) {
      $0[0] .< 3
    } body: {
      [$0[0] * 2]
    }
    let error = #expect(throws: Diagnostic.self) { try gradients(of: y, withRespectTo: [x]) }
    #expect(error?.message == "the gradient of a loop comes in a later version of Martlet")
    #expect(error?.operation == "StatelessWhile 'while'")
  }

  @Test func aGradientOfOnesOwnUsesItsInputsAlone() {
    let x = graph.placeholder(.float32, shape: [])
    let z = graph.placeholder(.float32, shape: [], name: "z")
    _ = withCustomGradient([x], name: "f") {
      [$0[0] * z]
    } gradient: { _, _, dy in
      dy
    }
    #expect(
      graph.diagnostics.map { DiagnosticRenderer(showsSites: false).render($0) } == [
        "error: f: 'z' is used by a function with a gradient of its own; requires that all it uses is among its inputs"
      ])
  }
}
