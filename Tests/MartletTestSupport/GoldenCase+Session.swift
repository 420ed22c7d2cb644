import Martlet
import MartletDiagnostics
import MartletGradients
import MartletGraph
import MartletOperations
import MartletTensors

extension GoldenCase {
  /// Results and gradients as a session finds them, each with what it should be. Every floating-point operand is fed, so that
  /// nothing is folded that a user's run would compute, and no extent is known beforehand.
  ///
  /// - Parameter session: Makes the session that runs the graph.
  public func run(in session: (Graph) throws -> Session = { try Session($0) }) throws -> [(
    found: Tensor, expected: Tensor
  )] {
    let graph = Graph()
    var feeds: [Output: Tensor] = [:]
    let operation = try Catalog.standard.operation(named: self.operation, attributes: attributeList())
    let operands = try operands.map { array in
      let tensor = try array.tensor()
      // A range's length depends on its elements.
      guard tensor.elementType.isFloatingPoint, !(operation is RangeOperation) else { return graph.constant(tensor) }
      let placeholder = graph.placeholder(tensor.elementType, shape: Shape(unknownOfRank: tensor.rank))
      feeds[placeholder] = tensor
      return placeholder
    }
    var fetches = graph.add(operation, operands)
    var expected = try results.map { try $0.tensor() }
    if let upstream, operation.differentiation == .rule {
      let weights = try upstream.map { graph.constant(try $0.tensor()) }
      let found = try MartletGradients.gradients(of: fetches, withRespectTo: operands, upstream: weights)
      for (gradient, array) in zip(found, gradients ?? []) {
        guard let gradient, let array else { continue }
        fetches.append(gradient)
        expected.append(try array.tensor())
      }
    }
    let results = try session(graph).run(fetches, feeds: feeds)
    guard results.count == expected.count else {
      throw Diagnostic("\(results.count) results, and the golden file has \(expected.count)")
    }
    return zip(results, expected).map { ($0, $1) }
  }
}
