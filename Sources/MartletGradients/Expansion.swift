import MartletDiagnostics
import MartletGraph
import MartletTensors

/// Puts a composite's expansion in its place: its results, old and new users alike, are those of the expansion.
func expand(_ node: NodeID, in graph: Graph, storage: GraphStorage) throws(Diagnostic) {
  let operation = storage.operation(of: node)
  let operands = storage.operands(of: node)
  let results = storage.results(of: node)
  var context = LoweringContext(
    operands: operands.map { storage.operand($0) },
    results: results.map { storage.type(of: $0).tensor ?? TensorType(.float32, .unknown) },
    name: storage.name(of: node))
  guard let body = try operation.lowering(&context).expansion else {
    throw Diagnostic(
      "\(operation.schema.name) says that it is differentiated by its expansion, but has none",
      operation: storage.name(of: node), site: storage.site(of: node))
  }
  var expansion = Expansion(graph: graph, operands: operands.map { Output(graph, $0) })
  var outputs: [Output] = []
  var failure: Diagnostic?
  graph.withSite(storage.site(of: node)) {
    graph.withNameScope(storage.name(of: node)) {
      do throws(Diagnostic) { outputs = try body(&expansion) } catch { failure = error }
    }
  }
  if let failure { throw failure }
  for (old, new) in zip(results, outputs) { graph.forward(Output(graph, old), to: new) }
}
