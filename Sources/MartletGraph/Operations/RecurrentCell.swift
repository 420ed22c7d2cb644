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

extension RecurrentCell: AttributeConvertible {
  public init?(_ value: AttributeValue) {
    guard let name = String(value) else { return nil }
    self.init(rawValue: name)
  }
  public var attributeValue: AttributeValue { .text(rawValue) }
}
