import CMartletRuntime

/// Machine code in a GPU's memory, unloaded when the object goes.
final class CUDAModule: @unchecked Sendable {
  let context: CUDAContext
  private let handle: martlet_cuda_module
  private var driver: UnsafePointer<martlet_cuda_driver> { context.driver }

  /// - Parameter image: What NVRTC made.
  init(_ context: CUDAContext, image: [UInt8]) throws(CUDAFailure) {
    try context.makeCurrent()
    var module: martlet_cuda_module?
    let code = context.exclusively {
      image.withUnsafeBytes { context.driver.pointee.ModuleLoadData(&module, $0.baseAddress) }
    }
    try context.driver.check(code, "cuModuleLoadData")
    guard let module else { throw context.driver.failure(Int32(martlet_cuda_out_of_memory), "cuModuleLoadData") }
    self.context = context
    handle = module
  }

  deinit {
    try? context.makeCurrent()
    context.exclusively { _ = driver.pointee.ModuleUnload(handle) }
  }

  /// The entry point of this name.
  func function(_ name: String) throws(CUDAFailure) -> CUDAFunction {
    try context.makeCurrent()
    var function: martlet_cuda_function?
    try driver.check(driver.pointee.ModuleGetFunction(&function, handle, name), "cuModuleGetFunction")
    guard let function else { throw driver.failure(Int32(martlet_cuda_out_of_memory), "cuModuleGetFunction") }
    return CUDAFunction(module: self, handle: function)
  }
}
