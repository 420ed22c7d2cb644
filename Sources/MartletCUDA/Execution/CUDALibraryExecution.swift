import MartletGraph

/// A library's way to do a contract on a GPU.
protocol CUDALibraryExecution: AnyObject, Sendable {
  /// Bytes of device memory that a call works in, the last of its slots; 0 if it needs none.
  var scratchBytes: Int { get }
  /// Gives a stream the call. Streams may be capturing: nothing is allocated and nothing waited for.
  ///
  /// - Parameter slots: the device addresses of operands, results and scratch memory.
  func enqueue(on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure)
}

/// Finds the executions of contracts; those that no library does are left to generated kernels.
protocol CUDALibraryCalls: Sendable {
  func execution(of contract: LibraryContract) -> (any CUDALibraryExecution)?
}
