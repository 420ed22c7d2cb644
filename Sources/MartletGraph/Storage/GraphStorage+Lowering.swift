import MartletDiagnostics
import MartletTensors

extension GraphStorage {
  /// The lowering of a node whose types are all known, with errors that name the node.
  public func lowering(of node: NodeID) throws(Diagnostic) -> Lowering {
    let results = results(of: node).map { type(of: $0).tensor ?? TensorType(.float32, .unknown) }
    var context = LoweringContext(
      operands: operands(of: node).map { operand($0) }, results: results, name: name(of: node))
    do throws(Diagnostic) {
      try checkShapes(of: node)
      return try operation(of: node).lowering(&context)
    } catch {
      var error = error
      error.operation = error.operation ?? "\(schema(of: node).name) '\(name(of: node))'"
      error.site = site(of: node)
      throw error
    }
  }

  /// What decides about a node's lowering, as numbers that mean the same all over this graph: nodes with equal keys lower to
  /// the same. Nil where more than its operation, its types and its constant operands may count.
  public func loweringKey(of node: NodeID) -> [Int32]? {
    guard traits(of: node).contains(.pure) else { return nil }
    var key = [Int32(truncatingIfNeeded: operationID(of: node).index)]
    for operand in operands(of: node) {
      let producer = producer(of: operand)
      key.append(valueTypes[Int(operand.index)])
      if traits(of: producer).contains(.constant) {
        key.append(Int32(truncatingIfNeeded: operationID(of: producer).index))
      } else if knownValues[operand] == nil {
        key.append(-1)
      } else {
        return nil
      }
    }
    for result in results(of: node) { key.append(valueTypes[Int(result.index)]) }
    return key
  }

  /// Throws unless every extent is known of what the node works with. What only runs sub-graphs does not ask for them.
  private func checkShapes(of node: NodeID) throws(Diagnostic) {
    let operands = operands(of: node)
    guard !operands.isEmpty, operation(of: node).functions.isEmpty else { return }
    for value in operands + results(of: node) {
      guard case .tensor(let type) = type(of: value), !type.shape.isFullyKnown else { continue }
      throw Diagnostic(
        "the shape of '\(name(of: value))' is not known when the graph is compiled", found: "\(type)",
        hint: "shapes may depend on the shapes of feeds, not on their elements")
    }
  }
}
