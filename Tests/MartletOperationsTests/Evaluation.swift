import MartletGraph
import MartletOperations
import MartletTensors
import MartletTestSupport

/// The values of outputs by the reference evaluator.
func evaluate(_ outputs: [Output], feeds: [Output: Tensor] = [:], run: Int64 = 0) throws -> [Tensor] {
  var evaluator = ReferenceEvaluator(run: run)
  return try evaluator.evaluate(outputs, feeds: feeds)
}

/// The results of one operation by the reference evaluator; it is run although nothing may use them.
func evaluate(_ operation: any Operation, _ operands: [Tensor], name: String? = nil) throws -> [Tensor] {
  let graph = Graph()
  let node = graph.addNode(operation, operands.map { graph.constant($0) }, name: name)
  if let mistake = graph.diagnostics.first { throw mistake }
  var evaluator = ReferenceEvaluator()
  if node.results.isEmpty {
    try evaluator.run(graph, targets: [node.id])
    return []
  }
  return try evaluator.evaluate(node.results)
}
