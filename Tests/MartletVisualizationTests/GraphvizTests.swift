import Foundation
import Martlet
import Testing

/// Where Graphviz is installed, it reads what is drawn.
@Suite(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/dot")))
struct GraphvizTests {
  /// Standard error of `dot -Tplain`; its status must be 0.
  private func messages(for text: String) throws -> String {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString).dot")
    try Data(text.utf8).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/dot")
    process.arguments = ["-Tplain", "-o", "/dev/null", file.path]
    let pipe = Pipe()
    process.standardError = pipe
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    return output
  }

  private func trainingGraph() -> (graph: Graph, loss: Output, step: GraphNode, feeds: [Output: TensorType]) {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil, 8], name: "strange <&\"> name")
    let labels = graph.placeholder(.int32, shape: [nil], name: "labels")
    let w = graph.withNameScope("dense") { graph.variable("w", [8, 3], .glorotUniform) }
    let loss = mean(sparseSoftmaxCrossEntropy(logits: matMul(x, w), labels: labels))
    let step = Adam().minimize(loss)
    return (graph, loss, step, [x: TensorType(.float32, [5, 8]), labels: TensorType(.int32, [5])])
  }

  @Test("Graphviz reads the drawing of each stage", arguments: DrawingStage.allCases)
  func stages(stage: DrawingStage) throws {
    let (graph, loss, step, feeds) = trainingGraph()
    let session = try Session(graph, options: SessionOptions(device: .interpreter))
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString).dot")
    defer { try? FileManager.default.removeItem(at: file) }
    try session.writeDOT(file.path, stage: stage, fetches: [loss], targets: [step], feeds: feeds)
    #expect(try messages(for: String(contentsOf: file, encoding: .utf8)) == "")
  }

  @Test("Graphviz reads drawings of folded graphs", arguments: [3, 10, 40])
  func folded(limit: Int) throws {
    #expect(try messages(for: GraphDOT(maximumNodes: limit).text(trainingGraph().graph)) == "")
  }
}
