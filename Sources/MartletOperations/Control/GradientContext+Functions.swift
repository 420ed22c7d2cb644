import MartletDiagnostics
import MartletGraph

extension GradientContext {
  /// The cotangents of the arguments that a node hands to its sub-graphs, by a second node that runs their gradients.
  ///
  /// Where a gradient needs what must not be computed again, a node that saves it takes the place of the differentiated one.
  ///
  /// - Parameters:
  ///   - functions: the sub-graphs.
  ///   - isNeeded: for each argument.
  ///   - operation: the operation that runs other sub-graphs in the same way.
  func differentiate(
    _ functions: [FunctionName], isNeeded: [Bool], _ operation: ([FunctionName]) -> any Operation
  ) throws(Diagnostic) -> [Cotangent] {
    let derivatives = try differentiator.derivatives(graph, functions, upstream.map { $0 != nil }, isNeeded)
    let forward =
      derivatives.isAugmented
      ? try graph.replace(results[0].node, by: operation(derivatives.forward)) : results
    var gradients = graph.add(
      operation(derivatives.gradients),
      operands + derivatives.saved.map { forward[$0] } + upstream.compactMap { $0 }
    ).makeIterator()
    return isNeeded.map { $0 ? gradients.next().map { .dense($0) } ?? .none : .none }
  }
}
