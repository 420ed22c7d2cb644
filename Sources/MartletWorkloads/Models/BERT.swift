import Martlet

/// The base model of BERT, 12 layers of 768 units with 12 heads, on sequences of 128 tokens.
///
/// Devlin, Chang, Lee and Toutanova, "BERT: Pre-training of Deep Bidirectional Transformers", 2018.
struct BERT {
  /// How large a model is; the base model by default.
  struct Sizes {
    var layers = 12
    var hidden = 768
    var heads = 12
    var inner = 3072
    var vocabulary = 30522
    var positions = 512
    var sequence = 128
  }
  private static let epsilon = 1e-12

  static func weights(_ sizes: Sizes) -> NamedArrays {
    let (hidden, inner) = (sizes.hidden, sizes.inner)
    var g = RandomArrays(seed: 11)
    var weights = NamedArrays()
    func add(_ name: String, _ shape: [Int], mean: Double = 0) {
      weights.add(name, g.normal(shape, deviation: 0.02, mean: mean))
    }
    add("word", [sizes.vocabulary, hidden])
    add("pos", [sizes.positions, hidden])
    add("type", [2, hidden])
    add("ln_g", [hidden], mean: 1)
    add("ln_b", [hidden])
    for layer in 0..<sizes.layers {
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
  static func inputs(batch: Int, _ sizes: Sizes) -> [Tensor] {
    let sequence = sizes.sequence
    var g = RandomArrays(seed: 12)
    let tokens = g.integers(below: Int32(sizes.vocabulary), [batch, sequence])
    let segments = (0..<batch * sequence).map { Int32($0 % sequence < sequence / 2 ? 0 : 1) }
    return [
      tokens, Tensor(segments, shape: [batch, sequence]), Tensor(repeating: 1 as Int32, shape: [batch, sequence]),
    ]
  }

  let weights: [String: Output]
  let batch: Int
  let sizes: Sizes

  private func weight(_ name: String) -> Output {
    guard let weight = weights[name] else { preconditionFailure("BERT has no weights \(name)") }
    return weight
  }

  private func normalized(_ x: Output, _ name: String) -> Output {
    layerNormalization(x, scale: weight(name + "_g"), offset: weight(name + "_b"), epsilon: Self.epsilon)
  }

  /// The last layer's values, [batch, sequence, hidden].
  func encoded(tokens: Output, segments: Output, mask: Output) -> Output {
    let (sequence, hidden) = (sizes.sequence, sizes.hidden)
    let embedded =
      gather(weight("word"), tokens) + gather(weight("type"), segments)
      + slice(weight("pos"), begin: [0, 0], size: [sequence, hidden])
    var x = reshape(normalized(embedded, "ln"), [batch * sequence, hidden])
    // What the mask excludes gets a weight of practically zero.
    let penalty = (1 - cast(reshape(mask, [batch, 1, 1, sequence]), to: x.elementType)) * -10000
    for layer in 0..<sizes.layers {
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
    let (sequence, heads, width) = (sizes.sequence, sizes.heads, sizes.hidden / sizes.heads)
    func projection(_ name: String) -> Output {
      let projected = dense(x, weights, layer + name + "w", layer + name + "b")
      return transpose(
        reshape(projected, [batch, sequence, heads, width]), permutation: [0, 2, 1, 3])
    }
    let scores =
      batchMatMul(projection("q"), projection("k"), adjointY: true) * (1 / Double(width).squareRoot()) + penalty
    let context = batchMatMul(softmax(scores), projection("v"))
    return reshape(transpose(context, permutation: [0, 2, 1, 3]), [batch * sequence, sizes.hidden])
  }
}

extension BERT {
  /// The encoding of a batch of sequences.
  static func inference(batch: Int, _ sizes: Sizes = Sizes()) -> ForwardModel {
    ForwardModel(feeds: inputs(batch: batch, sizes), weights: weights(sizes)) { inputs in
      BERT(weights: inputs.weights, batch: batch, sizes: sizes)
        .encoded(tokens: inputs.feeds[0], segments: inputs.feeds[1], mask: inputs.feeds[2])
    }
  }
}

extension Workload {
  /// The encoding of a batch of sequences by the base model.
  static func bertInference(batch: Int) -> Workload {
    Workload(name: "bert_base_infer_b\(batch)") { BERT.inference(batch: batch).builder }
  }

  /// The encoding of eight sequences in bfloat16.
  static let bertInferenceInBFloat16 = Workload(name: "bert_base_infer_b8_bf16") {
    BERT.inference(batch: 8).inBFloat16().builder
  }
}
