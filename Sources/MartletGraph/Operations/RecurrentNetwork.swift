import MartletTensors

/// What a layer of a recurrent network computes in each step, from the step's input x and the state before it.
///
/// W are the weights of the input and R those of the state h, a block of rows for each gate, with biases b and d. The gates
/// stand in PyTorch's and cuDNN's order.
public enum RecurrentCell: String, Hashable, Sendable, CaseIterable {
  /// Long short-term memory: gates i, f, g, o, and a second state c.
  ///
  /// i, f, o = σ(W·x + b + R·h + d), g = tanh(W·x + b + R·h + d), c' = f ∘ c + i ∘ g, h' = o ∘ tanh(c').
  /// Hochreiter and Schmidhuber, 1997; Gers et al., 2000.
  case lstm
  /// Gated recurrent unit: gates r, z, n, with the reset gate behind the product, as PyTorch and cuDNN have it.
  ///
  /// r, z = σ(W·x + b + R·h + d), n = tanh(W·x + b + r ∘ (R·h + d)), h' = (1 − z) ∘ n + z ∘ h.
  case gru
  /// The same with the reset gate before the product, as first published: n = tanh(W·x + b + R·(r ∘ h) + d). Cho et al.,
  /// 2014.
  case gruResetBefore = "gru_reset_before"
  /// h' = tanh(W·x + b + R·h + d). Elman, 1990.
  case tanh = "rnn_tanh"
  /// h' = max(0, W·x + b + R·h + d).
  case relu = "rnn_relu"

  /// How many blocks of rows its weights have.
  public var gateCount: Int {
    switch self {
    case .lstm: 4
    case .gru, .gruResetBefore: 3
    case .tanh, .relu: 1
    }
  }

  /// How many arrays its state has: h, and c where there is one.
  public var stateCount: Int { self == .lstm ? 2 : 1 }
}

/// A layer of a recurrent network over whole sequences, in one or both directions. All arrays are dense, row-major and of the
/// element type; the second direction's part of y stands behind the first's.
///
/// Operands of `forward`: x [steps, batch, inputs], W [directions, gates · hidden, inputs], R [directions, gates · hidden,
/// hidden], biases [directions, 2, gates · hidden], and the initial h, and c where there is one, [directions, batch,
/// hidden]. Results: y [steps, batch, directions · hidden], the last h, and c.
///
/// Operands of `backward`: those, then the gradients of the results. Results: the gradients of the operands of `forward`.
public struct RecurrentNetwork: Hashable, Sendable {
  public enum Role: Hashable, Sendable { case forward, backward }

  public var role: Role
  public var cell: RecurrentCell
  public var elementType: ElementType
  public var steps: Int
  public var batch: Int
  /// The width of a step's input.
  public var inputs: Int
  /// The width of the state.
  public var hidden: Int
  /// 1, or 2 with another layer that goes from the last step to the first.
  public var directions: Int

  public init(
    role: Role, cell: RecurrentCell, elementType: ElementType, steps: Int, batch: Int, inputs: Int, hidden: Int,
    directions: Int
  ) {
    (self.role, self.cell, self.elementType) = (role, cell, elementType)
    (self.steps, self.batch, self.inputs, self.hidden) = (steps, batch, inputs, hidden)
    self.directions = directions
  }

  /// Rows of a direction's weights.
  public var rows: Int { cell.gateCount * hidden }

  /// The elements of each operand of `forward`.
  public var operandCounts: [Int] {
    [steps * batch * inputs, directions * rows * inputs, directions * rows * hidden, directions * 2 * rows]
      + Array(repeating: directions * batch * hidden, count: cell.stateCount)
  }

  /// The elements of each result of `forward`.
  public var resultCounts: [Int] {
    [steps * batch * directions * hidden]
      + Array(repeating: directions * batch * hidden, count: cell.stateCount)
  }

  /// Whether there is nothing to compute or nothing to compute it from.
  public var isEmpty: Bool { [steps, batch, inputs, hidden].contains(0) }
}

extension RecurrentCell: AttributeConvertible {
  public init?(_ value: AttributeValue) {
    guard let name = String(value) else { return nil }
    self.init(rawValue: name)
  }
  public var attributeValue: AttributeValue { .text(rawValue) }
}
