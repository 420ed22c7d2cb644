import CMartletRuntime

/// Memory of a GPU, given back when the object goes. Work that uses it must have ended by then.
final class DeviceMemory: @unchecked Sendable {
  let context: CUDAContext
  /// A multiple of 256.
  let address: UInt64
  let byteCount: Int

  init(_ context: CUDAContext, byteCount: Int) throws(CUDAFailure) {
    try context.makeCurrent()
    var address: martlet_cuda_address = 0
    let code = context.exclusively { context.driver.pointee.MemAlloc(&address, max(1, byteCount)) }
    try context.driver.check(code, "cuMemAlloc_v2")
    self.context = context
    self.address = address
    self.byteCount = byteCount
  }

  deinit {
    try? context.makeCurrent()
    context.exclusively { _ = context.driver.pointee.MemFree(address) }
  }
}
