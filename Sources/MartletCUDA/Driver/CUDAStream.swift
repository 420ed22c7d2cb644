import CMartletRuntime

/// A queue of work for a GPU, carried out in order, and in no order with other streams but that of events.
///
/// All but `synchronize` only queue work. Host memory of copies must be pinned and stay as it is until the copy
/// has been carried out.
final class CUDAStream: @unchecked Sendable {
  let context: CUDAContext
  let handle: martlet_cuda_stream
  private var driver: UnsafePointer<martlet_cuda_driver> { context.driver }

  init(_ context: CUDAContext) throws(CUDAFailure) {
    try context.makeCurrent()
    var stream: martlet_cuda_stream?
    try context.driver.check(
      context.driver.pointee.StreamCreate(&stream, UInt32(martlet_cuda_stream_non_blocking)), "cuStreamCreate")
    guard let stream else { throw context.driver.failure(Int32(martlet_cuda_out_of_memory), "cuStreamCreate") }
    self.context = context
    handle = stream
  }

  deinit {
    try? context.makeCurrent()
    _ = driver.pointee.StreamDestroy(handle)
  }

  // MARK: Order

  /// Waits until all that was queued has been carried out. Throws what went wrong in it, too.
  func synchronize() throws(CUDAFailure) {
    try context.makeCurrent()
    try driver.check(driver.pointee.StreamSynchronize(handle), "cuStreamSynchronize")
  }

  /// What is queued from now on begins after what the event was last recorded behind.
  func wait(for event: CUDAEvent) throws(CUDAFailure) {
    try context.makeCurrent()
    try driver.check(driver.pointee.StreamWaitEvent(handle, event.handle, 0), "cuStreamWaitEvent")
  }

  // MARK: Copies

  func copy(to address: UInt64, fromHost bytes: UnsafeRawPointer, byteCount: Int) throws(CUDAFailure) {
    guard byteCount > 0 else { return }
    try context.makeCurrent()
    try driver.check(
      driver.pointee.MemcpyHtoDAsync(address, bytes, byteCount, handle), "cuMemcpyHtoDAsync_v2")
  }

  func copy(toHost bytes: UnsafeMutableRawPointer, from address: UInt64, byteCount: Int) throws(CUDAFailure) {
    guard byteCount > 0 else { return }
    try context.makeCurrent()
    try driver.check(
      driver.pointee.MemcpyDtoHAsync(bytes, address, byteCount, handle), "cuMemcpyDtoHAsync_v2")
  }

  func copy(to address: UInt64, from source: UInt64, byteCount: Int) throws(CUDAFailure) {
    guard byteCount > 0, address != source else { return }
    try context.makeCurrent()
    try driver.check(
      driver.pointee.MemcpyDtoDAsync(address, source, byteCount, handle), "cuMemcpyDtoDAsync_v2")
  }

  /// A box of bytes from one place of the device's memory to another: `depth` planes of `height` rows of `width` bytes. Rows
  /// begin `pitch` bytes apart, planes `height` rows apart.
  func copy(
    to address: UInt64, layout: (pitch: Int, height: Int), from source: UInt64,
    layout sourceLayout: (pitch: Int, height: Int),
    width: Int, height: Int, depth: Int
  ) throws(CUDAFailure) {
    guard width > 0, height > 0, depth > 0 else { return }
    try context.makeCurrent()
    var box = martlet_cuda_box()
    box.source.memory_kind = Int32(martlet_cuda_memory_device)
    box.source.device = source
    (box.source.pitch, box.source.height) = (sourceLayout.pitch, sourceLayout.height)
    box.destination.memory_kind = Int32(martlet_cuda_memory_device)
    box.destination.device = address
    (box.destination.pitch, box.destination.height) = (layout.pitch, layout.height)
    (box.width_bytes, box.height, box.depth) = (width, height, depth)
    try driver.check(driver.pointee.Memcpy3DAsync(&box, handle), "cuMemcpy3DAsync_v2")
  }

  func fill(_ address: UInt64, byte: UInt8, byteCount: Int) throws(CUDAFailure) {
    guard byteCount > 0 else { return }
    try context.makeCurrent()
    try driver.check(driver.pointee.MemsetD8Async(address, byte, byteCount, handle), "cuMemsetD8Async")
  }

  // MARK: Calls

  /// - Parameter arguments: The addresses of the kernel's arguments, in order; they are read before this returns.
  func launch(
    _ function: CUDAFunction, blocks: Int, threads: Int, sharedBytes: Int,
    arguments: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  ) throws(CUDAFailure) {
    guard blocks > 0 else { return }
    try context.makeCurrent()
    try driver.check(
      driver.pointee.LaunchKernel(
        function.handle, UInt32(blocks), 1, 1, UInt32(threads), 1, 1, UInt32(sharedBytes), handle, arguments, nil),
      "cuLaunchKernel")
  }

  // MARK: Capture

  /// From now on what this stream is given, and what streams are given that wait for its events, goes into a graph and is not
  /// carried out. Other threads may go on with other streams.
  func beginCapture() throws(CUDAFailure) {
    try context.makeCurrent()
    try driver.check(
      driver.pointee.StreamBeginCapture(handle, Int32(martlet_cuda_capture_thread_local)), "cuStreamBeginCapture_v2")
  }

  /// The work since `beginCapture`, ready to be carried out again and again. Streams that took part must have been waited for.
  func endCapture() throws(CUDAFailure) -> CUDAGraph {
    try context.makeCurrent()
    var graph: martlet_cuda_graph?
    try driver.check(driver.pointee.StreamEndCapture(handle, &graph), "cuStreamEndCapture")
    defer { if let graph { _ = driver.pointee.GraphDestroy(graph) } }
    return try CUDAGraph(context, graph)
  }

  /// Ends a capture after a failure, if there is one, and drops what was captured.
  func abandonCapture() {
    try? context.makeCurrent()
    var status: Int32 = 0
    guard driver.pointee.StreamIsCapturing(handle, &status) == 0, status != 0 else { return }
    var graph: martlet_cuda_graph?
    _ = driver.pointee.StreamEndCapture(handle, &graph)
    if let graph { _ = driver.pointee.GraphDestroy(graph) }
  }
}
