import CMartletRuntime

/// Memory of the host that a GPU copies from and to while the host goes on; given back when the object goes.
final class PinnedMemory: @unchecked Sendable {
  let context: CUDAContext
  let bytes: UnsafeMutableRawPointer
  let byteCount: Int

  init(_ context: CUDAContext, byteCount: Int) throws(CUDAFailure) {
    try context.makeCurrent()
    var memory: UnsafeMutableRawPointer?
    let code = context.exclusively { context.driver.pointee.MemHostAlloc(&memory, max(1, byteCount), 0) }
    try context.driver.check(code, "cuMemHostAlloc")
    guard let memory else { throw context.driver.failure(Int32(martlet_cuda_out_of_memory), "cuMemHostAlloc") }
    self.context = context
    bytes = memory
    self.byteCount = byteCount
  }

  deinit {
    try? context.makeCurrent()
    context.exclusively { _ = context.driver.pointee.MemFreeHost(bytes) }
  }
}
