import Martlet

// Work on arrays that do not fit into the caches, where fusion decides.

enum MemoryModel {
  /// tanh(0.7·x + 0.1) · sigmoid(x) + exp(-x²).
  static func elementwise(count: Int = 16 << 20) -> ForwardModel {
    var g = RandomArrays(seed: 3)
    return ForwardModel(resident: [g.normal([count])]) { inputs in
      let x = inputs.resident[0]
      return tanh(0.7 * x + 0.1) * sigmoid(x) + exp(-x * x)
    }
  }

  /// The softmax of each row.
  static func softmaxRows(_ rows: Int = 8192, _ columns: Int = 1024) -> ForwardModel {
    ForwardModel(resident: [data(rows, columns).x]) { softmax($0.resident[0]) }
  }

  /// The layer normalisation of each row.
  static func layerNorm(_ rows: Int = 8192, _ columns: Int = 1024) -> ForwardModel {
    let (x, scale, offset) = data(rows, columns)
    return ForwardModel(resident: [x, scale, offset]) { inputs in
      layerNormalization(
        inputs.resident[0], scale: inputs.resident[1], offset: inputs.resident[2], epsilon: 1e-5)
    }
  }

  private static func data(_ rows: Int, _ columns: Int) -> (x: Tensor, scale: Tensor, offset: Tensor) {
    var g = RandomArrays(seed: 4)
    let x = g.normal([rows, columns])
    let scale = g.normal([columns], deviation: 0.1, mean: 1)
    return (x, scale, g.normal([columns], deviation: 0.1))
  }
}

extension Workload {
  /// tanh(0.7·x + 0.1) · sigmoid(x) + exp(-x²), on 16 Mi elements.
  static let fusedElementwise = Workload(name: "fused_elementwise") { MemoryModel.elementwise().builder }

  /// The softmax of each of 8,192 rows of 1,024 elements.
  static let softmaxRows = Workload(name: "softmax_rows") { MemoryModel.softmaxRows().builder }

  /// The layer normalisation of each of 8,192 rows of 1,024 elements.
  static let layerNorm = Workload(name: "layernorm") { MemoryModel.layerNorm().builder }
}

/// (x - mean) / √(variance + ε) · scale + offset, along the last axis.
func layerNormalization(_ x: Output, scale: Output, offset: Output, epsilon: Double) -> Output {
  let center = mean(x, axes: [-1], keepDims: true)
  let variance = mean(squaredDifference(x, center), axes: [-1], keepDims: true)
  return (x - center) * (rsqrt(variance + epsilon) * scale) + offset
}
