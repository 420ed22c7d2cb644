import MartletGraph
import MartletTensors

extension GraphStorage {
  /// Whether a node is computed by a library, where the device has one that does it.
  ///
  /// Extents that are not known yet are taken as 64.
  func hasLibraryForm(_ node: NodeID) -> Bool {
    var operands = operands(of: node).map { operand($0) }
    var results: [TensorType] = []
    for i in operands.indices {
      guard let type = operands[i].type.tensor.flatMap({ Self.exemplary($0) }) else { return false }
      operands[i].type = .tensor(type)
    }
    for result in self.results(of: node) {
      guard let type = self.type(of: result).tensor.flatMap({ Self.exemplary($0) }) else { return false }
      results.append(type)
    }
    guard results.contains(where: { $0.elementType.isFloatingPoint }) else { return false }
    var context = LoweringContext(operands: operands, results: results, name: name(of: node))
    switch try? operation(of: node).lowering(&context) {
    case .library, .libraryOrComposite: return true
    default: return false
    }
  }

  private static func exemplary(_ type: TensorType) -> TensorType? {
    guard let dimensions = type.shape.dimensions else { return nil }
    var values: [Dimension.Symbol: Int] = [:]
    for symbol in dimensions.flatMap(\.symbols) { values[symbol] = 64 }
    guard let extents = type.shape.evaluated(values), extents.allSatisfy({ $0 > 0 }) else { return nil }
    return TensorType(type.elementType, Shape(extents))
  }
}
