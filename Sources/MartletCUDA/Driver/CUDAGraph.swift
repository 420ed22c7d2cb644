import CMartletRuntime

/// Captured work, which one call gives to a stream again. What it uses must be there as long as it is.
final class CUDAGraph: @unchecked Sendable {
  let context: CUDAContext
  private let handle: martlet_cuda_executable
  private var driver: UnsafePointer<martlet_cuda_driver> { context.driver }

  init(_ context: CUDAContext, _ graph: martlet_cuda_graph?) throws(CUDAFailure) {
    try context.makeCurrent()
    var executable: martlet_cuda_executable?
    try context.driver.check(
      context.driver.pointee.GraphInstantiate(&executable, graph, 0), "cuGraphInstantiateWithFlags")
    guard let executable else {
      throw context.driver.failure(Int32(martlet_cuda_out_of_memory), "cuGraphInstantiateWithFlags")
    }
    self.context = context
    handle = executable
  }

  deinit {
    try? context.makeCurrent()
    _ = driver.pointee.GraphExecDestroy(handle)
  }

  func launch(on stream: CUDAStream) throws(CUDAFailure) {
    try context.makeCurrent()
    try driver.check(driver.pointee.GraphLaunch(handle, stream.handle), "cuGraphLaunch")
  }
}
