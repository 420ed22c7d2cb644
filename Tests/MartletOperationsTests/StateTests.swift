import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletTensors
import MartletTestSupport
import Testing

/// Variables, assertions and the catalog.
@Suite struct StateTests {
  let graph = Graph()

  @Test func variablesHaveNamesOfTheirOwn() throws {
    let first = graph.variableHandle(.float32, shape: [2], name: "w")
    let second = graph.withNameScope("layer") { graph.variableHandle(.int32, shape: [nil], name: "w") }
    let third = graph.variableHandle(.float32, shape: [2], name: "w")
    let roles = [first, second, third].map { graph.storage.stateRole(of: $0.node) }
    #expect(roles == [.variable("w"), .variable("layer/w"), .variable("w_1")])
    #expect([first, second, third].map(\.name) == ["w", "layer/w", "w_1"])
    #expect(first.type == .resource(TensorType(.float32, [2])))
    #expect(readVariable(first).type == .tensor(.float32, [2]))
    let value = readVariable(third)
    let nodes = [value.node, assign(first, value).id, assignAdd(first, value).id, assignSub(first, value).id]
    let storage = graph.storage
    #expect(
      nodes.map { storage.stateRole(of: $0) }
        == [.read, .assign, .accumulate(negated: false), .accumulate(negated: true)])
    #expect(graph.diagnostics.isEmpty)
  }

  @Test func assertionsShowTheirData() throws {
    let data = [Tensor([1.5, -2, 3, 4] as [Float]), Tensor(Int64(7)), Tensor([true, false])]
    #expect(try evaluate(Assert(), [Tensor(true)] + data).isEmpty)
    let error = #expect(throws: Diagnostic.self) {
      try evaluate(Assert(), [Tensor(false)] + data, name: "check")
    }
    #expect(
      error?.description
        == "error: Assert 'check': the assertion does not hold; found [1.5, -2.0, 3.0, …], 7, [true, false]")
    let all = #expect(throws: Diagnostic.self) {
      try evaluate(Assert(summarize: -1), [Tensor(false), data[0]], name: "check")
    }
    #expect(all?.found == "[1.5, -2.0, 3.0, 4.0]")
  }

  @Test func catalogKnowsEachOperationOnce() throws {
    let names = Catalog.standard.types.map { $0.schema.name }
    #expect(Set(names).count == names.count)
    #expect(Catalog.standard.type(named: "Add")?.schema.name == "AddV2")
    #expect(Catalog.standard.type(named: "BatchMatMul")?.schema.name == "BatchMatMulV2")
    #expect(Catalog.standard.type(named: "Nonsense") == nil)
    let error = #expect(throws: Diagnostic.self) {
      try Catalog.standard.operation(named: "Nonsense", attributes: AttributeList())
    }
    #expect(error?.message == "Martlet does not know the operation Nonsense")
    let wrong = #expect(throws: Diagnostic.self) {
      try Catalog.standard.operation(named: "Pack", attributes: AttributeList([.init("axis", .bool(true))]))
    }
    #expect(wrong?.message == "attribute 'axis' of Pack has a value of another kind")
  }

  struct Doubled: Elementwise {
    static let schema = Schema(unary: "Identity", types: .floating)
    func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.add(x[0], x[0]) }
  }

  @Test func catalogTakesUsersOperations() throws {
    let catalog = Catalog.standard.adding([Doubled.self])
    #expect(catalog.types.count == Catalog.standard.types.count)
    let operation = try catalog.operation(named: "Identity", attributes: AttributeList())
    let value = try evaluate(operation, [Tensor(Float(2))])[0]
    #expect(value.item(as: Float.self) == 4)
  }

  /// The attributes of every operation come back from their own list.
  @Test func attributesRoundTrip() throws {
    for type in Catalog.standard.types {
      let operation = type.init()
      let again = try Catalog.standard.operation(named: type.schema.name, attributes: operation.attributes)
      #expect(again.attributes == operation.attributes, "\(type.schema.name)")
    }
  }

  @Test func dataDependentExtentsAreRefusedWhenCompiled() throws {
    let x = Operand(.tensor(.float32, [4]))
    let bound = Operand(.tensor(.int32, [1]))
    var context = LoweringContext(operands: [x, bound, bound], results: [TensorType(.float32, [2])], name: "s")
    let error = #expect(throws: Diagnostic.self) { try SliceOperation().lowering(&context) }
    #expect(error?.message == "must be known when the graph is compiled")
    #expect(error?.operand == "size")
  }

  @Test(arguments: [3, -1]) func badIndicesAreFound(index: Int) throws {
    let graph = Graph()
    let row = gather(graph.constant([1.0, 2, 3]), graph.constant([0, index]))
    let error = #expect(throws: Diagnostic.self) { try evaluate([row]) }
    #expect(error?.message == "badIndex(code: 0, index: \(index))")
  }
}
