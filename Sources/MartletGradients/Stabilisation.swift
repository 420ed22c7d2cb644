import MartletGraph
import MartletOperations
import MartletTensors

/// Rewrites of the forward graph, exact in real arithmetic, whose right side is differentiated without overflow where
/// the left side is not.
private let stableForms: [StableForm] = [
  StableForm(outer: "Log", inner: "Softmax") { logSoftmax($0) },
  StableForm(outer: "Log", inner: "Sigmoid") { -softplus(-$0) },
  StableForm(outer: "Log1p", inner: "Exp") { softplus($0) },
]

/// One function applied to the result of another, both of one operand, and what computes the same.
private struct StableForm: Sendable {
  var outer: String
  var inner: String
  var replacement: @Sendable (Output) -> Output
}

/// Puts stable forms in the place of those that are differentiated. Returns whether there were any.
func stabilise(_ order: [NodeID], in graph: Graph, storage: GraphStorage, isActive: [Bool]) -> Bool {
  var isChanged = false
  for node in order {
    let operands = storage.operands(of: node)
    guard operands.count == 1, isActive[Int(operands[0].index)] else { continue }
    let name = storage.schema(of: node).name
    guard let inner = stableForms.first(where: { $0.outer == name }).map({ _ in storage.producer(of: operands[0]) })
    else { continue }
    let innerName = storage.schema(of: inner).name
    guard let form = stableForms.first(where: { $0.outer == name && $0.inner == innerName }) else { continue }
    let x = Output(graph, storage.operands(of: inner)[0])
    let replacement = graph.withSite(storage.site(of: node)) { form.replacement(x) }
    graph.forward(Output(graph, storage.results(of: node)[0]), to: replacement)
    isChanged = true
  }
  return isChanged
}
