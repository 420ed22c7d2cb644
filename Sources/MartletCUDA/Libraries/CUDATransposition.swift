import CMartletRuntime
import MartletTensors

/// Transposes row-major matrices of floats, one or a batch of them, by cuBLASLt.
final class CUDATransposition: @unchecked Sendable {
  let byteCount: Int
  private let owner: CublasLtHandle
  private let source: CublasLtLayout
  private let destination: CublasLtLayout
  private let transform: martlet_cublaslt_transform

  /// - Parameter elementType: of which cuBLASLt has matrices.
  init(
    _ owner: CublasLtHandle, _ elementType: ElementType, rows: Int, columns: Int, batch: Int = 1
  ) throws(CUDAFailure) {
    self.owner = owner
    byteCount = rows * columns * batch * elementType.byteWidth
    guard let type = elementType.cublasLtType else { preconditionFailure("no matrices of \(elementType)") }
    let scaleType = Int32(martlet_cublaslt_float32)
    // Row-major is column-major with rows and columns exchanged.
    source = try CublasLtLayout(owner, type: type, rows: columns, columns: rows, batch: batch)
    destination = try CublasLtLayout(owner, type: type, rows: rows, columns: columns, batch: batch)
    var transform: martlet_cublaslt_transform?
    try owner.check(
      owner.library.pointee.MatrixTransformDescCreate(&transform, scaleType), "cublasLtMatrixTransformDescCreate")
    guard let transform else {
      throw CUDAFailure(call: "cublasLtMatrixTransformDescCreate", code: 0, name: "no transform", text: "")
    }
    self.transform = transform
    var transposed = Int32(martlet_cublaslt_transposed)
    try owner.check(
      owner.library.pointee.MatrixTransformDescSetAttribute(
        transform, Int32(martlet_cublaslt_transform_transpose_a), &transposed, 4),
      "cublasLtMatrixTransformDescSetAttribute")
  }

  deinit { _ = owner.library.pointee.MatrixTransformDescDestroy(transform) }

  func enqueue(on stream: CUDAStream, from address: UInt64, to result: UInt64) throws(CUDAFailure) {
    try owner.context.makeCurrent()
    var (one, zero): (Float, Float) = (1, 0)
    try owner.check(
      owner.library.pointee.MatrixTransform(
        owner.handle, transform, &one, UnsafeRawPointer(bitPattern: UInt(address)), source.layout, &zero, nil, nil,
        UnsafeMutableRawPointer(bitPattern: UInt(result)), destination.layout, stream.handle),
      "cublasLtMatrixTransform")
  }
}
