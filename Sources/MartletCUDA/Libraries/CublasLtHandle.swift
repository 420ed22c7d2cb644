import CMartletRuntime
import MartletDiagnostics

/// cuBLASLt in a context. Its functions may be called from several threads.
final class CublasLtHandle: @unchecked Sendable {
  let context: CUDAContext
  let library: UnsafePointer<martlet_cublaslt>
  let handle: martlet_cublaslt_handle

  init(_ context: CUDAContext) throws {
    library = try context.libraries.cublasLt()
    self.context = context
    try context.makeCurrent()
    var handle: martlet_cublaslt_handle?
    let code = context.exclusively { [library] in library.pointee.Create(&handle) }
    guard code == 0, let handle else { throw Self.failure(library, code, "cublasLtCreate") }
    self.handle = handle
  }

  deinit {
    try? context.makeCurrent()
    context.exclusively { _ = library.pointee.Destroy(handle) }
  }

  func check(_ code: Int32, _ call: StaticString) throws(CUDAFailure) {
    if code != 0 { throw Self.failure(library, code, call) }
  }

  private static func failure(
    _ library: UnsafePointer<martlet_cublaslt>, _ code: Int32, _ call: StaticString
  ) -> CUDAFailure {
    CUDAFailure(
      call: "\(call)", code: Int(code),
      name: library.pointee.GetStatusName(code).map { String(cString: $0) } ?? "an unknown status",
      text: library.pointee.GetStatusString(code).map { String(cString: $0) } ?? "")
  }
}

/// How a matrix, or a batch of them, lies in memory: column after column.
final class CublasLtLayout: @unchecked Sendable {
  let owner: CublasLtHandle
  let layout: martlet_cublaslt_layout

  /// - Parameter type: 0 f32, 1 f64, 2 f16, 14 bfloat16.
  init(_ owner: CublasLtHandle, type: Int32, rows: Int, columns: Int, batch: Int = 1) throws(CUDAFailure) {
    var layout: martlet_cublaslt_layout?
    try owner.check(
      owner.library.pointee.MatrixLayoutCreate(&layout, type, UInt64(rows), UInt64(columns), Int64(max(1, rows))),
      "cublasLtMatrixLayoutCreate")
    guard let layout else {
      throw CUDAFailure(call: "cublasLtMatrixLayoutCreate", code: 0, name: "no layout", text: "")
    }
    self.owner = owner
    self.layout = layout
    if batch > 1 {
      var (count, stride) = (Int32(batch), Int64(rows * columns))
      try owner.check(
        owner.library.pointee.MatrixLayoutSetAttribute(layout, Int32(martlet_cublaslt_layout_batch), &count, 4),
        "cublasLtMatrixLayoutSetAttribute")
      try owner.check(
        owner.library.pointee.MatrixLayoutSetAttribute(
          layout, Int32(martlet_cublaslt_layout_batch_stride), &stride, 8), "cublasLtMatrixLayoutSetAttribute")
    }
  }

  deinit { _ = owner.library.pointee.MatrixLayoutDestroy(layout) }
}
