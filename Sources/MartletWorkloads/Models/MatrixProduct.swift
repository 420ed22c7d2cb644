import Martlet

extension ForwardModel {
  /// The product of two square matrices.
  static func matrixProduct(_ extent: Int) -> ForwardModel {
    var g = RandomArrays(seed: 5)
    let a = g.normal([extent, extent])
    let b = g.normal([extent, extent])
    return ForwardModel(resident: [a, b]) { matMul($0.resident[0], $0.resident[1]) }
  }
}

extension Workload {
  /// The product of two square matrices.
  @Sendable static func matrixProduct(_ extent: Int) -> Workload {
    Workload(name: "matmul_\(extent)") { ForwardModel.matrixProduct(extent).builder }
  }

  /// The same of matrices of bfloat16.
  static let matrixProductInBFloat16 = Workload(name: "matmul_4096_bf16") {
    ForwardModel.matrixProduct(4096).inBFloat16().builder
  }
}
