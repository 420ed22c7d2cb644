import Martlet

// Work on arrays that do not fit into the caches, where fusion decides.

extension Workload {
  /// tanh(0.7·x + 0.1) · sigmoid(x) + exp(-x²), on 16 Mi elements.
  static let fusedElementwise = Workload(name: "fused_elementwise") {
    var g = RandomArrays(seed: 3)
    let x = g.normal([16 << 20])
    let model = ForwardModel(resident: [x]) { inputs in
      let x = inputs.resident[0]
      return tanh(0.7 * x + 0.1) * sigmoid(x) + exp(-x * x)
    }
    return model.execution
  }

  /// The softmax of each of 8,192 rows of 1,024 elements.
  static let softmaxRows = Workload(name: "softmax_rows") {
    let model = ForwardModel(resident: [rows().x]) { softmax($0.resident[0]) }
    return model.execution
  }

  /// The layer normalisation of each of 8,192 rows of 1,024 elements.
  static let layerNorm = Workload(name: "layernorm") {
    let (x, scale, offset) = rows()
    let model = ForwardModel(resident: [x, scale, offset]) { inputs in
      layerNormalization(
        inputs.resident[0], scale: inputs.resident[1], offset: inputs.resident[2], epsilon: 1e-5)
    }
    return model.execution
  }

  private static func rows() -> (x: Tensor, scale: Tensor, offset: Tensor) {
    var g = RandomArrays(seed: 4)
    let x = g.normal([8192, 1024])
    let scale = g.normal([1024], deviation: 0.1, mean: 1)
    return (x, scale, g.normal([1024], deviation: 0.1))
  }
}

/// (x - mean) / √(variance + ε) · scale + offset, along the last axis.
func layerNormalization(_ x: Output, scale: Output, offset: Output, epsilon: Double) -> Output {
  let center = mean(x, axes: [-1], keepDims: true)
  let variance = mean(squaredDifference(x, center), axes: [-1], keepDims: true)
  return (x - center) * (rsqrt(variance + epsilon) * scale) + offset
}
