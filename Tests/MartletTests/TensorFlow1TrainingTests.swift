import Foundation
import Martlet
import MartletTestSupport
import Testing

/// Graphs as TensorFlow 1 writes them for training, with each of its optimizers. `Scripts/interop/make_training.py` has TensorFlow
/// write them, and what the variables come to.
@Suite struct TensorFlow1TrainingTests {
  private struct Step: Decodable {
    var x: [Float]
    /// Twice the number of steps, read behind the assignment that counts them.
    var twice: Float
    var values: [String: [Float]]
  }

  private static let folder = packageFolder.appending(path: "Tests/Fixtures/Training").path

  private func expectTraining(_ graph: Graph, on device: SessionOptions.Device) throws {
    let steps = try JSONDecoder().decode(
      [Step].self, from: try Data(contentsOf: URL(filePath: Self.folder + "/training.json")))
    let x = try #require(graph.output(named: "x"))
    let twice = try #require(graph.output(named: "twice"))
    let initialize = GraphNode(graph, try #require(graph.node(named: "init")))
    let session = try Session(graph, options: SessionOptions(device: device, instruments: [VerifyInstrument()]))
    try session.run([], targets: [initialize])
    for (i, step) in steps.enumerated() {
      let found = try session.run(twice, feeds: [x: Tensor(step.x)])
      #expect(found.scalars(as: Float.self) == [step.twice])
      for (name, expected) in step.values.sorted(by: { $0.key < $1.key }) {
        let value = try session.run(try #require(graph.output(named: name)))
        expectClose(value, Tensor(expected), relative: 1e-5, absolute: 1e-6, "\(name), step \(i)")
      }
    }
  }

  @Test(arguments: ["references", "resources"], SessionOptions.Device.tested)
  func optimizers(kind: String, device: SessionOptions.Device) throws {
    try expectTraining(try Graph(loading: "\(Self.folder)/\(kind).pb"), on: device)
  }

  /// What was read can be written, with resource variables, and read again.
  @Test(arguments: ["references", "resources"]) func roundTrip(kind: String) throws {
    let record = try Graph(loading: "\(Self.folder)/\(kind).pb").graphDef()
    #expect(!record.nodes.contains { ["VariableV2", "Assign", "ApplyAdam"].contains($0.op) })
    #expect(record.nodes.contains { $0.op == "ResourceApplyAdam" })
    try expectTraining(try Graph(record), on: .interpreter)
  }

  /// A variable that is given to an operation of which it is not known whether it wants the reference stays what it is, with all that
  /// is assigned to it together with others.
  @Test func whatIsNotUnderstood() throws {
    func variable(_ name: String) -> NodeRecord {
      NodeRecord(
        name: name, op: "VariableV2",
        attributes: [
          NamedAttribute("dtype", .type(1)), NamedAttribute("shape", .shape(ShapeRecord([3]))),
        ])
    }
    let nodes = [
      variable("a"), variable("b"), variable("c"),
      NodeRecord(name: "x", op: "Placeholder", attributes: [NamedAttribute("dtype", .type(1))]),
      NodeRecord(name: "scattered", op: "ScatterNdAdd", inputs: ["a", "x", "x"]),
      NodeRecord(name: "momentum", op: "ApplyMomentum", inputs: ["b", "a", "x", "x", "x"]),
      NodeRecord(name: "assigned", op: "Assign", inputs: ["c", "x"]),
      NodeRecord(name: "sum", op: "AddV2", inputs: ["c", "assigned"]),
    ]
    let written = try Graph(GraphDefRecord(nodes: nodes)).graphDef().nodes
    func op(_ name: String) -> String? { written.first { $0.name == name }?.op }
    #expect(["a", "b", "c"].map { op($0) } == ["VariableV2", "VariableV2", "VarHandleOp"])
    #expect(op("momentum") == "ApplyMomentum")
    #expect(op("assigned") == "AssignVariableOp")
    let sum = try #require(written.first { $0.name == "sum" })
    #expect(sum.inputs == ["sum/read_0", "sum/read_1"])
    let reads = sum.inputs.map { name in written.first { $0.name == name }?.inputs }
    #expect(reads == [["c"], ["c", "^assigned"]])
  }

  /// Messages for what does not fit a variable name the operand.
  @Test func mistakes() throws {
    let graph = Graph()
    let w = graph.variableHandle(.float32, shape: [3], name: "w")
    let rate = graph.constant(Float(0.1))
    graph.addNode(ResourceApplyGradientDescent(), [w, rate, graph.constant(Tensor([1, 2] as [Float]))])
    let error = try #require(throws: (any Error).self) { try Session(graph).run([w]) }
    #expect("\(error)".contains("delta"))
    let other = Graph()
    let v = other.variableHandle(.float32, shape: [3], name: "v")
    let value = other.constant(Tensor([1, 2, 3] as [Float]))
    other.addNode(ResourceApplyMomentum(), [v, value, value, value, value])
    #expect("\(try #require(throws: (any Error).self) { try Session(other).run([v]) })".contains("accum"))
  }
}
