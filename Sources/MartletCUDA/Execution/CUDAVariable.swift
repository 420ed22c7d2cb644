import MartletExecution

/// A variable in a GPU's memory, where it stays from run to run.
final class CUDAVariable: DeviceVariable {
  private let transfers: CUDATransfers
  private let memory: DeviceMemory

  init(byteCount: Int, transfers: CUDATransfers) throws(CUDAFailure) {
    self.transfers = transfers
    memory = try DeviceMemory(transfers.stream.context, byteCount: byteCount)
  }

  var address: UInt64 { memory.address }

  func store(_ bytes: UnsafeRawPointer) throws {
    do throws(CUDAFailure) {
      try transfers.copy(to: memory.address, from: bytes, byteCount: memory.byteCount)
    } catch { throw error.diagnostic(operation: "a variable on cuda:\(memory.context.ordinal)") }
  }

  func load(_ bytes: UnsafeMutableRawPointer) throws {
    do throws(CUDAFailure) {
      try transfers.copy(to: bytes, from: memory.address, byteCount: memory.byteCount)
    } catch { throw error.diagnostic(operation: "a variable on cuda:\(memory.context.ordinal)") }
  }
}
