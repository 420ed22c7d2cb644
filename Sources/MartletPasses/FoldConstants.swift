import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletRewriting
import MartletTensors

/// Computes what depends on constants alone, by interpretation.
///
/// Only results of at most 4,096 elements, and none that is much larger than what it is made from: a filled array is
/// cheaper computed where it is used than loaded.
public struct FoldConstants: Pass {
  public let name = "FoldConstants"
  public init() {}

  static let maximumCount = 4096
  static let maximumGrowth = 64

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    var count = 0
    let result = try program.mapFunctions { function, library throws(Diagnostic) in
      let body = function.body
      let order = body.topologicalOrder(results: function.results, targets: function.targets)
      guard
        order.contains(where: { isFoldable($0, body, constants: body.operands(of: $0).lazy.map { body.constant($0) }) })
      else { return function }
      var rebuilder = GraphRebuilder(function, library: library)
      return try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
        guard let tensors = try fold(node, operands, rebuilder.source.body) else { return nil }
        count += 1
        let body = rebuilder.source.body
        return tensors.enumerated().map { i, tensor in
          rebuilder.graph.insert(
            Const(tensor), [], name: i == 0 ? body.name(of: node) : "\(body.name(of: node))_\(i)",
            controls: [],
            site: body.site(of: node), scope: body.scope(of: node)
          ).outputs[0]
        }
      }
    }
    for _ in 0..<count { context.count("fold-constants") }
    return result
  }

  /// Whether a node can be folded, as far as can be told without its lowering.
  private func isFoldable(
    _ node: NodeID, _ body: GraphStorage, constants: @autoclosure () -> some Sequence<Constant?>
  ) -> Bool {
    let traits = body.traits(of: node)
    guard traits.contains(.pure), !traits.contains(.constant), !traits.contains(.argument),
      !traits.contains(.placeholder), body.controls(of: node).isEmpty, body.resultCount(of: node) > 0
    else { return false }
    if isKnown(node, body) { return true }
    var total = 0
    for result in body.results(of: node) {
      guard let type = body.type(of: result).tensor, type.elementType.isComputable, let extents = type.shape.known
      else { return false }
      total += extents.reduce(1, *)
    }
    guard total <= Self.maximumCount, body.operandCount(of: node) > 0 else { return false }
    var limit = Self.maximumGrowth
    for constant in constants() {
      guard let constant else { return false }
      limit += constant.elementCount
    }
    return total <= limit
  }

  private func fold(_ node: NodeID, _ operands: [Output], _ body: GraphStorage) throws(Diagnostic) -> [Tensor]? {
    guard isFoldable(node, body, constants: operands.lazy.map { $0.operand.constant }) else { return nil }
    if let tensors = knownResults(of: node, body) { return tensors }
    let inputs = operands.compactMap { $0.operand.constant?.tensor }
    let results = body.results(of: node).map { body.type(of: $0) }

    let facts = operands.map(\.operand)
    var context = LoweringContext(operands: facts, results: results.compactMap(\.tensor), name: body.name(of: node))
    switch try body.operation(of: node).lowering(&context) {
    case .compute(let stages), .view(let stages), .reshape(let stages), .part(_, let stages),
      .join(_, .some(let stages)), .library(_, reference: let stages):
      // A failing index is left for the run to report.
      return try? stages.interpret(inputs: inputs)
    default:
      return nil
    }
  }

  private func isKnown(_ node: NodeID, _ body: GraphStorage) -> Bool {
    body.results(of: node).allSatisfy { result in
      let type = body.type(of: result).elementType
      return (type == .int32 || type == .int64) && body.known(result)?.integers != nil
    }
  }

  /// The results of a node of which inference knows every element: shapes and what is computed from them.
  private func knownResults(of node: NodeID, _ body: GraphStorage) -> [Tensor]? {
    var tensors: [Tensor] = []
    for result in body.results(of: node) {
      guard let known = body.known(result), let integers = known.integers, let type = body.type(of: result).elementType
      else { return nil }
      switch type {
      case .int32: tensors.append(Tensor(integers.map { Int32(truncatingIfNeeded: $0) }, shape: known.shape))
      case .int64: tensors.append(Tensor(integers.map { Int64($0) }, shape: known.shape))
      default: return nil
      }
    }
    return tensors
  }
}
