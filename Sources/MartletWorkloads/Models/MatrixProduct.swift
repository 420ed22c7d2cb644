import Martlet

extension Workload {
  /// The product of two square matrices.
  @Sendable static func matrixProduct(_ extent: Int) -> Workload {
    Workload(name: "matmul_\(extent)") {
      var g = RandomArrays(seed: 5)
      let a = g.normal([extent, extent])
      let b = g.normal([extent, extent])
      let model = ForwardModel(resident: [a, b]) { matMul($0.resident[0], $0.resident[1]) }
      return model.execution
    }
  }
}
