import Foundation
import Martlet
import Testing

@Suite struct DrawingTests {
  private func withFile(_ body: (String) throws -> Void) throws {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-\(UUID().uuidString).dot")
    defer { try? FileManager.default.removeItem(at: file) }
    try body(file.path)
  }

  @Test("Without a run there is nothing to draw but the graph; after one, its plan is drawn")
  func lastRun() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [nil], name: "x")
    let y = tanh(x, name: "y")
    let session = try Session(graph, options: SessionOptions(device: .interpreter))
    try withFile { path in
      try session.writeDOT(path)
      #expect(try String(contentsOfFile: path, encoding: .utf8).contains("<b>Tanh</b>"))
      #expect(throws: Diagnostic.self) { try session.writeDOT(path, stage: .plan) }
      _ = try session.run(y, feeds: [x: Tensor([1, 2, 3] as [Float])])
      try session.writeDOT(path, stage: .plan)
      let text = try String(contentsOfFile: path, encoding: .utf8)
      #expect(text.hasPrefix("digraph \"y: plan\""))
      // The shape of the run, not of the placeholder.
      #expect(text.contains("<b>x</b><br/><font point-size=\"8\" color=\"#3e4c59\">3</font>"))
    }
  }

  @Test("Only what the outputs need is drawn")
  func outputs() throws {
    let graph = Graph()
    let x = graph.placeholder(.float32, shape: [2], name: "x")
    let y = tanh(x)
    _ = exp(x)
    try withFile { path in
      try graph.writeDOT(path, outputs: [y])
      let text = try String(contentsOfFile: path, encoding: .utf8)
      #expect(text.contains("Tanh") && !text.contains("Exp"))
    }
  }

  @Test("A file that cannot be written is named")
  func unwritable() {
    #expect {
      try Graph().writeDOT("/no/such/folder/graph.dot")
    } throws: { error in
      (error as? Diagnostic)?.message.hasPrefix("/no/such/folder/graph.dot cannot be written") == true
    }
  }
}
