import Martlet
import MartletPasses
import MartletTestSupport
import Testing

@testable import MartletFormats

/// What a graph becomes as a GraphDef.
@Suite struct GraphDefWriterTests {
  @Test func attributesFollowFromOperands() throws {
    let graph = Graph()
    let x = graph.placeholder(.float64, shape: [nil, 3], name: "x")
    let y = concat([x, x], axis: 1, name: "y")
    let z = graph.withControlDependencies([x.node]) {
      graph.withDevice("/cpu:0") {
        matMul(y, graph.constant(Tensor([1, 2, 3, 4, 5, 6] as [Double], shape: [6, 1]), name: "w"), name: "z")
      }
    }
    let record = try graph.graphDef(outputs: [z])
    #expect(record.versions?.producer == 1395)
    let nodes = record.nodes
    #expect(nodes.map(\.name).contains("w"))
    let placeholder = try #require(nodes.first { $0.name == "x" })
    #expect(placeholder.attributes["dtype"] == .type(2))
    #expect(
      placeholder.attributes["shape"] == .shape(ShapeRecord(dimensions: [.init(size: -1), .init(size: 3)])))
    let concatenation = try #require(nodes.first { $0.name == "y" })
    #expect(concatenation.op == "ConcatV2")
    #expect(concatenation.attributes["N"] == .int(2))
    #expect(concatenation.attributes["T"] == .type(2))
    #expect(concatenation.attributes["Tidx"] == .type(3))
    let product = try #require(nodes.first { $0.name == "z" })
    #expect(product.inputs == ["y", "w", "^x"])
    #expect(product.device == "/cpu:0")
    #expect(product.attributes["transpose_a"] == .bool(false))
  }

  @Test func laterResultsHaveTheirNumber() throws {
    let graph = Graph()
    let parts = split(graph.placeholder(.float32, shape: [4], name: "x"), into: 2, axis: 0, name: "s")
    let y = parts[1] - parts[0]
    let record = try graph.graphDef(outputs: [y])
    #expect(record.nodes.last?.inputs == ["s:1", "s"])
    #expect(record.nodes.first { $0.name == "s" }?.attributes["num_split"] == .int(2))
  }

  @Test func onlyWhatOutputsNeedIsWritten() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let y = relu(x, name: "y")
    _ = cond(sum(x) .> 0, name: "unused") {
      x
    } else: {
      -x
    }
    #expect(try graph.graphDef(outputs: [y]).nodes.map(\.name) == ["x", "y"])
    #expect(try graph.graphDef(outputs: [y]).library.isEmpty)
    #expect(try graph.graphDef().library.count == 2)
  }

  @Test func forwardedValuesAreResolved() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let old = relu(x, name: "old")
    let y = exp(old, name: "y")
    graph.forward(old, to: tanh(x, name: "new"))
    let record = try graph.graphDef(outputs: [y])
    #expect(record.nodes.map(\.name) == ["x", "new", "y"])
    #expect(record.nodes[2].inputs == ["new"])
  }

  /// Sums over what broadcasting has stretched have no operation in TensorFlow.
  @Test(arguments: [true, false]) func broadcastsAreUndoneInTensorFlowsWords(isKnown: Bool) throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: isKnown ? [2, 3, 4] : [nil, nil, nil], name: "x")
    let y = graph.placeholder(.float32, shape: isKnown ? [3, 1] : [nil, nil], name: "y")
    let total = sumToShape(x, of: y)
    let record = try graph.graphDef(outputs: [total, y])
    let names = record.nodes.map(\.op)
    #expect(!names.contains { $0.hasPrefix("_") })
    #expect(names.contains("BroadcastGradientArgs") != isKnown)
    let again = try Graph(record)
    let feeds: [Output: Tensor] = [
      try #require(again.output(named: "x")): Tensor((0..<24).map { Float($0) }, shape: [2, 3, 4]),
      try #require(again.output(named: "y")): Tensor([0, 0, 0] as [Float], shape: [3, 1]),
    ]
    let output = try #require(again.output(named: record.nodes.last { $0.op == "Reshape" }!.name))
    // Rows 4 and 12 apart: 0 + 1 + 2 + 3 + 12 + … + 15, and so on.
    #expect(try Session(again).run(output, feeds: feeds).scalars(as: Float.self) == [60, 92, 124])
  }

  /// A program whose branches have become pure is written with TensorFlow's operations.
  @Test func programsAreWritten() throws {
    let graph = Graph()
    let v = graph.variableHandle(.float32, shape: [], name: "v")
    let x = graph.addOne(Argument(index: 0, type: .tensor(.float32, [])), name: "x")
    let y = cond(x .> 0) {
      readVariable(v) * x
    } else: {
      x
    }
    let z = whileLoop([y]) {
      $0[0] .< 10
    } body: {
      [$0[0] + readVariable(v)]
    }
    let main = GraphFunction(name: "main", body: graph.storage, arguments: [x.id], results: [z[0].id])
    let program = try PromoteState().run(Program(main: main, library: graph.library))
    let record = try program.graphDef()
    #expect(Set(record.nodes.map(\.op)).contains("Placeholder"))
    let again = try Graph(record)
    let (first, second) = (try #require(again.output(named: "x")), try #require(again.output(named: "v")))
    let feeds = [first: Tensor(Float(2)), second: Tensor(Float(3))]
    let output = try #require(again.output(named: program.main.body.name(of: program.main.results[0])))
    #expect(try Session(again).run(output, feeds: feeds).item(as: Float.self) == 12)
  }

  @Test func mistakesAreNotWritten() throws {
    let graph = Graph()
    _ = graph.placeholder(.float32, shape: [2]) + graph.placeholder(.float32, shape: [3])
    #expect(throws: DiagnosticList.self) { try graph.graphDef() }
  }

  @Test func whatTensorFlowLacksIsNamed() throws {
    let graph = Graph()
    graph.add(FusedKernel(), name: "kernel")
    let error = #expect(throws: Diagnostic.self) { try graph.graphDef() }
    #expect(try #require(error).description.contains("_Kernel 'kernel'"))
  }

  /// Graph → GraphDef → graph → GraphDef, for an application of each operation, its gradient and its functions.
  @Test(arguments: Catalog.standard.types.map { $0.schema.name })
  func operationsSurvive(_ name: String) throws {
    let type = try #require(Catalog.standard.type(named: name))
    for sample in ContractSamples.standard.samples(of: type) {
      let graph = Graph()
      let arguments = sample.point.map { graph.placeholder(.float64, shape: Shape($0.shape)) }
      let outputs = try sample.build(arguments).filter { $0.elementType.isFloatingPoint }
      guard !outputs.isEmpty, graph.diagnostics.isEmpty else { continue }
      if case .rule = type.init().differentiation {
        _ = try gradients(of: outputs, withRespectTo: arguments, unconnected: .zeros)
      }
      let record = try graph.graphDef()
      let again = try Graph(record)
      #expect(try again.graphDef() == record)
      let (first, second) = (try record.encoded(), try again.graphDef().encoded())
      #expect(first == second)
    }
  }

  /// The same graph gives the same bytes, functions and all.
  @Test func bytesAreReproducible() throws {
    func bytes() throws -> [UInt8] {
      let graph = Graph()
      let x = graph.placeholder(.float32, shape: [2, 2], name: "x")
      let y = cond(sum(x) .> 0) {
        matMul(x, x)
      } else: {
        -x
      }
      _ = try gradients(of: [sum(y)], withRespectTo: [x])
      return try graph.graphDef().encoded()
    }
    #expect(try bytes() == bytes())
  }
}
