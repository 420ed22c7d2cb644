import MartletExecution

/// A variable in a GPU's memory, where it stays from run to run.
final class CUDAVariable: DeviceVariable {
  private let stream: CUDAStream
  private let memory: DeviceMemory

  /// - Parameter stream: carries out copies; nobody else waits for it.
  init(byteCount: Int, stream: CUDAStream) throws(CUDAFailure) {
    self.stream = stream
    memory = try DeviceMemory(stream.context, byteCount: byteCount)
  }

  var address: UInt64 { memory.address }

  func store(_ bytes: UnsafeRawPointer) throws {
    try throughPinnedMemory { staging in
      staging.bytes.copyMemory(from: bytes, byteCount: memory.byteCount)
      try stream.copy(to: memory.address, fromHost: staging.bytes, byteCount: memory.byteCount)
      try stream.synchronize()
    }
  }

  func load(_ bytes: UnsafeMutableRawPointer) throws {
    try throughPinnedMemory { staging in
      try stream.copy(toHost: staging.bytes, from: memory.address, byteCount: memory.byteCount)
      try stream.synchronize()
      bytes.copyMemory(from: staging.bytes, byteCount: memory.byteCount)
    }
  }

  private func throughPinnedMemory(_ body: (PinnedMemory) throws -> Void) throws {
    guard memory.byteCount > 0 else { return }
    do {
      try body(try PinnedMemory(stream.context, byteCount: memory.byteCount))
    } catch let failure as CUDAFailure {
      throw failure.diagnostic(operation: "a variable on cuda:\(stream.context.ordinal)")
    }
  }
}
