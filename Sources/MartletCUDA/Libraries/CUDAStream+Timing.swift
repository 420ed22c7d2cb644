extension CUDAStream {
  /// Whether what the stream is given goes into a graph.
  var isCapturing: Bool {
    var status: Int32 = 0
    return (try? context.makeCurrent()) != nil
      && context.driver.pointee.StreamIsCapturing(handle, &status) == 0 && status != 0
  }

  /// The time of some work, the least of a few runs behind one that warms up.
  func milliseconds(_ body: () throws(CUDAFailure) -> Void) throws(CUDAFailure) -> Double {
    let (begin, end) = (try CUDAEvent(context, timing: true), try CUDAEvent(context, timing: true))
    try body()
    var least = Double.infinity
    for _ in 0..<3 {
      try begin.record(on: self)
      try body()
      try end.record(on: self)
      try end.synchronize()
      least = min(least, try end.milliseconds(since: begin))
    }
    return least
  }
}
