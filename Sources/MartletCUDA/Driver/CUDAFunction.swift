import CMartletRuntime

/// An entry point of a module, which it keeps.
struct CUDAFunction: @unchecked Sendable {
  let module: CUDAModule
  let handle: martlet_cuda_function

  /// Lets launches have so much shared memory, also where it is more than a block has without asking.
  func allow(sharedBytes: Int) throws(CUDAFailure) {
    try module.context.makeCurrent()
    let driver = module.context.driver
    try driver.check(
      driver.pointee.FuncSetAttribute(
        handle, Int32(martlet_cuda_function_dynamic_shared_bytes), Int32(sharedBytes)), "cuFuncSetAttribute")
  }
}
