import CMartletRuntime

/// A point in a stream's work, for which other streams and the host can wait.
final class CUDAEvent: @unchecked Sendable {
  let context: CUDAContext
  let handle: martlet_cuda_event
  private var driver: UnsafePointer<martlet_cuda_driver> { context.driver }

  /// - Parameter timing: Whether the time of the point is kept, which costs.
  init(_ context: CUDAContext, timing: Bool = false) throws(CUDAFailure) {
    try context.makeCurrent()
    var event: martlet_cuda_event?
    try context.driver.check(
      context.driver.pointee.EventCreate(&event, timing ? 0 : UInt32(martlet_cuda_event_no_timing)), "cuEventCreate")
    guard let event else { throw context.driver.failure(Int32(martlet_cuda_out_of_memory), "cuEventCreate") }
    self.context = context
    handle = event
  }

  deinit {
    try? context.makeCurrent()
    _ = driver.pointee.EventDestroy(handle)
  }

  /// From now on the event is the end of what the stream has been given so far.
  func record(on stream: CUDAStream) throws(CUDAFailure) {
    try context.makeCurrent()
    try driver.check(driver.pointee.EventRecord(handle, stream.handle), "cuEventRecord")
  }

  /// Waits for the event.
  func synchronize() throws(CUDAFailure) {
    try context.makeCurrent()
    try driver.check(driver.pointee.EventSynchronize(handle), "cuEventSynchronize")
  }

  /// The time from an earlier event; both with timing, and complete.
  func milliseconds(since begin: CUDAEvent) throws(CUDAFailure) -> Double {
    try context.makeCurrent()
    var milliseconds: Float = 0
    try driver.check(driver.pointee.EventElapsedTime(&milliseconds, begin.handle, handle), "cuEventElapsedTime")
    return Double(milliseconds)
  }
}
