import MartletDiagnostics
import MartletGraph
import MartletTensors

/// A layer of a recurrent network over sequences, in one or both directions; `RecurrentCell` says what it computes.
///
/// Operands: `x` [steps, batch, inputs]; `weights` [directions, gates · hidden, inputs]; `recurrent_weights` [directions,
/// gates · hidden, hidden]; `biases` [directions, 2, gates · hidden], those of the input and those of the state; and the
/// initial states [directions, batch, hidden]: h, and c where there is one. Results: `y` [steps, batch, directions · hidden],
/// h of all steps, and the last states.
///
/// cuDNN does it in one call; elsewhere, and in a GraphDef, it is its steps.
public struct RecurrentLayer: ExportedOperation {
  public var cell = RecurrentCell.lstm
  public init() {}
  public init(_ cell: RecurrentCell) { self.cell = cell }

  public static let schema = Schema(
    "_RecurrentLayer",
    inputs: ["x": "T", "weights": "T", "recurrent_weights": "T", "biases": "T", "initial": "N*T"],
    outputs: ["y": "T", "last": "N*T"], types: ["T": .floating])
  public static let attributeTable: AttributeTable<RecurrentLayer> = [AttributeField("cell", \.cell)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let shapes = try RecurrentShapes(cell, operands[..<4], initial: operands[4...])
    let type = operands[0].elementType ?? .float32
    return [Inference(type, shapes.y)] + (0..<cell.stateCount).map { _ in Inference(type, shapes.state) }
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let upstream = zip(g.upstream, g.results).map { $0 ?? zerosLike($1) }
    let operands = g.operands[..<4] + [upstream[0]] + g.operands[4...] + upstream[1...]
    return g.graph.add(RecurrentLayerGrad(cell), Array(operands)).map { .dense($0) }
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let cell = cell
    return l.recurrentNetwork(.forward, cell) { expansion throws(Diagnostic) in
      try RecurrentExpansion(cell, expansion.operands).forward()
    }
  }

  public func exported(_ expansion: Expansion) throws(Diagnostic) -> [Output]? {
    try RecurrentExpansion(cell, expansion.operands).forward()
  }
}

/// The gradient of `RecurrentLayer`.
///
/// Operands: the layer's arrays; `dy`; the initial states, then the gradients of the last ones. Results: the gradients of the
/// layer's operands. It makes the steps again: where it is written out, these are the layer's own.
public struct RecurrentLayerGrad: ExportedOperation {
  public var cell = RecurrentCell.lstm
  public init() {}
  public init(_ cell: RecurrentCell) { self.cell = cell }

  public static let schema = Schema(
    "_RecurrentLayerGrad",
    inputs: [
      "x": "T", "weights": "T", "recurrent_weights": "T", "biases": "T", "dy": "T", "states": "N*T",
    ],
    outputs: ["dx": "T", "dweights": "T", "drecurrent_weights": "T", "dbiases": "T", "dinitial": "M*T"],
    types: ["T": .floating])
  public static let attributeTable: AttributeTable<RecurrentLayerGrad> = [AttributeField("cell", \.cell)]
  public var differentiation: Differentiation { .expansion }

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    guard operands.count == 5 + 2 * cell.stateCount else {
      throw Diagnostic(
        "has another number of arrays than the cell's states need", operand: "states",
        required: "\(2 * cell.stateCount) arrays: states and gradients",
        found: "\(operands.count - 5)")
    }
    let shapes = try RecurrentShapes(cell, operands[..<4], initial: operands[5..<5 + cell.stateCount])
    for (i, operand) in operands.enumerated().dropFirst(4) {
      let wanted = i == 4 ? shapes.y : shapes.state
      guard operand.shape.isCompatible(with: wanted) else {
        throw Diagnostic(
          "does not fit the layer", operand: i == 4 ? "dy" : "states[\(i - 5)]", required: "the shape \(wanted)",
          found: "\(operand.type)")
      }
    }
    let type = operands[0].elementType ?? .float32
    return [shapes.x, shapes.weights, shapes.recurrentWeights, shapes.biases].map { Inference(type, $0) }
      + (0..<cell.stateCount).map { _ in Inference(type, shapes.state) }
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let operation = self
    return l.recurrentNetwork(.backward, cell) { expansion throws(Diagnostic) in
      try operation.expanded(expansion.operands)
    }
  }

  public func exported(_ expansion: Expansion) throws(Diagnostic) -> [Output]? { try expanded(expansion.operands) }

  private func expanded(_ operands: [Output]) throws(Diagnostic) -> [Output] {
    let (initial, upstream) = (operands[5..<5 + cell.stateCount], operands[(5 + cell.stateCount)...])
    return try RecurrentExpansion(cell, Array(operands[..<4] + initial)).backward([operands[4]] + upstream)
  }
}

extension LoweringContext {
  /// A library's call where all extents are known, and else what the operation is written in, as for gradients of gradients
  /// of graphs that leave some open.
  fileprivate func recurrentNetwork(
    _ role: RecurrentNetwork.Role, _ cell: RecurrentCell,
    _ expansion: @escaping @Sendable (inout Expansion) throws(Diagnostic) -> [Output]
  ) -> Lowering {
    guard operands.allSatisfy(\.shape.isFullyKnown) else { return .composite(expansion) }
    let (x, recurrent) = (operandShape(0), operandShape(2))
    let network = RecurrentNetwork(
      role: role, cell: cell, elementType: results[0].elementType, steps: x[0], batch: x[1], inputs: x[2],
      hidden: recurrent[2], directions: recurrent[0])
    return .libraryOrComposite(.recurrent(network), expansion)
  }
}
