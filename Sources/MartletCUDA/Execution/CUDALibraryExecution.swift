import MartletGraph

/// A library's way to do a contract on a GPU.
protocol CUDALibraryExecution: AnyObject, Sendable {
  /// Bytes of device memory that a call works in, the last of its slots; 0 if it needs none. Asked for the first time, it may
  /// run and time what there is to choose from: that must not be during a capture.
  var scratchBytes: Int { get }
  /// Gives a stream the call. Streams may be capturing: nothing is allocated and nothing waited for, once `scratchBytes` was
  /// asked for.
  ///
  /// - Parameter slots: the device addresses of operands, results and scratch memory, at multiples of 16 bytes, of scratch
  ///   memory at multiples of 64.
  func enqueue(on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure)
  /// The same for operands, by number, that are the same in every run, which it may lay out anew now. Their memory is read on
  /// the stream, and need not be held any longer when the stream has come there.
  func binding(_ constants: [Int: UInt64], on stream: CUDAStream) throws(CUDAFailure) -> any CUDALibraryExecution
  /// The operands, by number, that are laid out anew already: their own memory is not read any more.
  var unreadOperands: Set<Int> { get }
}

extension CUDALibraryExecution {
  func binding(_ constants: [Int: UInt64], on stream: CUDAStream) throws(CUDAFailure) -> any CUDALibraryExecution {
    self
  }
  var unreadOperands: Set<Int> { [] }
}
