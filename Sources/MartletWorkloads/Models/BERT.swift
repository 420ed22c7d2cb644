import Martlet

/// The base model of BERT, 12 layers of 768 units with 12 heads, on sequences of 128 tokens.
///
/// Devlin, Chang, Lee and Toutanova, "BERT: Pre-training of Deep Bidirectional Transformers", 2018.
struct BERT {
  private static let layers = 12
  private static let hidden = 768
  private static let heads = 12
  private static let inner = 3072
  private static let vocabulary = 30522
  private static let sequence = 128
  private static let epsilon = 1e-12

  static func weights() -> NamedArrays {
    var g = RandomArrays(seed: 11)
    var weights = NamedArrays()
    func add(_ name: String, _ shape: [Int], mean: Double = 0) {
      weights.add(name, g.normal(shape, deviation: 0.02, mean: mean))
    }
    add("word", [vocabulary, hidden])
    add("pos", [512, hidden])
    add("type", [2, hidden])
    add("ln_g", [hidden], mean: 1)
    add("ln_b", [hidden])
    for layer in 0..<layers {
      for (name, rows, columns) in [
        ("q", hidden, hidden), ("k", hidden, hidden), ("v", hidden, hidden), ("o", hidden, hidden),
        ("f1", hidden, inner), ("f2", inner, hidden),
      ] {
        add("l\(layer)_\(name)w", [rows, columns])
        add("l\(layer)_\(name)b", [columns])
      }
      for name in ["ln1", "ln2"] {
        add("l\(layer)_\(name)_g", [hidden], mean: 1)
        add("l\(layer)_\(name)_b", [hidden])
      }
    }
    return weights
  }

  /// Tokens, segments and mask.
  static func inputs(batch: Int) -> [Tensor] {
    var g = RandomArrays(seed: 12)
    let tokens = g.integers(below: Int32(vocabulary), [batch, sequence])
    let segments = (0..<batch * sequence).map { Int32($0 % sequence < sequence / 2 ? 0 : 1) }
    return [
      tokens, Tensor(segments, shape: [batch, sequence]), Tensor(repeating: 1 as Int32, shape: [batch, sequence]),
    ]
  }

  let weights: [String: Output]
  let batch: Int

  private func weight(_ name: String) -> Output {
    guard let weight = weights[name] else { preconditionFailure("BERT has no weights \(name)") }
    return weight
  }

  private func normalized(_ x: Output, _ name: String) -> Output {
    layerNormalization(x, scale: weight(name + "_g"), offset: weight(name + "_b"), epsilon: Self.epsilon)
  }

  /// The last layer's values, [batch, sequence, hidden].
  func encoded(tokens: Output, segments: Output, mask: Output) -> Output {
    let (sequence, hidden) = (Self.sequence, Self.hidden)
    let embedded =
      gather(weight("word"), tokens) + gather(weight("type"), segments)
      + slice(weight("pos"), begin: [0, 0], size: [sequence, hidden])
    var x = reshape(normalized(embedded, "ln"), [batch * sequence, hidden])
    // What the mask excludes gets a weight of practically zero.
    let penalty = (1 - cast(reshape(mask, [batch, 1, 1, sequence]), to: .float32)) * -10000
    for layer in 0..<Self.layers {
      let name = "l\(layer)_"
      let context = attention(x, name, penalty)
      x = normalized(dense(context, weights, name + "ow", name + "ob") + x, name + "ln1")
      let y = dense(x, weights, name + "f1w", name + "f1b")
      let activated = 0.5 * y * (1 + erf(y * (1 / 2.0.squareRoot())))
      x = normalized(dense(activated, weights, name + "f2w", name + "f2b") + x, name + "ln2")
    }
    return reshape(x, [batch, sequence, hidden])
  }

  private func attention(_ x: Output, _ layer: String, _ penalty: Output) -> Output {
    let width = Self.hidden / Self.heads
    func heads(_ name: String) -> Output {
      let projected = dense(x, weights, layer + name + "w", layer + name + "b")
      return transpose(
        reshape(projected, [batch, Self.sequence, Self.heads, width]), permutation: [0, 2, 1, 3])
    }
    let scores = batchMatMul(heads("q"), heads("k"), adjointY: true) * (1 / Double(width).squareRoot()) + penalty
    let context = batchMatMul(softmax(scores), heads("v"))
    return reshape(transpose(context, permutation: [0, 2, 1, 3]), [batch * Self.sequence, Self.hidden])
  }
}

extension Workload {
  /// The encoding of a batch of sequences.
  static func bertInference(batch: Int) -> Workload {
    Workload(name: "bert_base_infer_b\(batch)") {
      let model = ForwardModel(feeds: BERT.inputs(batch: batch), weights: BERT.weights()) { inputs in
        BERT(weights: inputs.weights, batch: batch)
          .encoded(tokens: inputs.feeds[0], segments: inputs.feeds[1], mask: inputs.feeds[2])
      }
      return model.execution
    }
  }
}
