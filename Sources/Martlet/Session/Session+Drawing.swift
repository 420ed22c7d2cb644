import Foundation
import MartletDiagnostics
import MartletGraph
import MartletTensors
import MartletVisualization

/// What of a graph's way to a run is drawn.
public enum DrawingStage: String, Sendable, Hashable, CaseIterable {
  /// The graph as it was built.
  case graph
  /// What the passes made of it: kernels and library calls.
  case optimized
  /// The instructions of a run and the memory that they use.
  case plan
}

extension Graph {
  /// Writes a drawing in Graphviz's DOT.
  ///
  ///     try graph.writeDOT("graph.dot")        // then: dot -Tsvg graph.dot -o graph.svg
  ///
  /// - Parameters:
  ///   - outputs: if given, only what they need is drawn.
  ///   - drawing: how simple the drawing is made.
  /// - Throws: a diagnostic if the file cannot be written.
  public func writeDOT(_ path: String, outputs: [Output] = [], drawing: GraphDOT = GraphDOT()) throws {
    try write(drawing.text(self, outputs: outputs), to: path)
  }
}

extension Session {
  /// Writes a drawing in Graphviz's DOT.
  ///
  ///     try session.writeDOT("graph.dot")
  ///     try session.run([loss], feeds: [images: x, labels: y])
  ///     try session.writeDOT("plan.dot", stage: .plan)
  ///
  /// - Parameters:
  ///   - stage: what is drawn. The graph is drawn whole.
  ///   - fetches: with `targets` and `feeds` the run whose optimized form or plan is drawn, as for `plan(for:)`; without
  ///     fetches and targets the run that the session compiled last.
  /// - Throws: a diagnostic if there is no such run, if it cannot be compiled, or if the file cannot be written.
  public func writeDOT(
    _ path: String, stage: DrawingStage = .graph, fetches: [Output] = [], targets: [GraphNode] = [],
    feeds: [Output: TensorType] = [:]
  ) throws {
    guard stage != .graph else { return try graph.writeDOT(path) }
    let run = try drawnRun(fetches, targets, feeds)
    let name = (run.fetches.map(\.name) + run.targets.map(\.name)).prefix(4).joined(separator: ", ")
    let text =
      switch stage {
      case .graph, .optimized:
        GraphDOT().text(
          try program(for: run.fetches, targets: run.targets, feeds: run.feeds), title: "\(name): optimized")
      case .plan:
        PlanDOT().text(try plan(for: run.fetches, targets: run.targets, feeds: run.feeds), title: "\(name): plan")
      }
    try write(text, to: path)
  }

  private struct Run {
    var fetches: [Output]
    var targets: [GraphNode]
    var feeds: [Output: TensorType]
  }

  private func drawnRun(_ fetches: [Output], _ targets: [GraphNode], _ feeds: [Output: TensorType]) throws -> Run {
    if !fetches.isEmpty || !targets.isEmpty { return Run(fetches: fetches, targets: targets, feeds: feeds) }
    guard let (key, types) = lastCompiled else {
      throw Diagnostic(
        "the session has not compiled any run that could be drawn", hint: "run it first, or give fetches and targets")
    }
    let pairs = zip(key.feeds, types).map { (Output(graph, $0), $1) }
    return Run(
      fetches: key.fetches.map { Output(graph, $0) }, targets: key.targets.map { GraphNode(graph, $0) },
      feeds: Dictionary(pairs) { first, _ in first })
  }
}

private func write(_ text: String, to path: String) throws {
  do {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
  } catch {
    throw Diagnostic("\(path) cannot be written: \(error.localizedDescription)")
  }
}
