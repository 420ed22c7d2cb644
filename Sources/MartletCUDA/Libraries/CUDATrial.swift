/// Runs of library calls on memory of their own, before a plan relies on them: what libraries accept they may still refuse to
/// carry out.
enum CUDATrial {
  /// What all slots are filled with: small positive numbers in every type.
  static let byte: UInt8 = 0x3C

  /// Gives a call small numbers in slots of these bytes, and waits for it.
  ///
  /// - Throws: Failures of the call, or what says that memory is short.
  static func run(
    _ context: CUDAContext, _ slots: [Int], _ body: (CUDAStream, [UInt64]) throws(CUDAFailure) -> Void
  ) throws(CUDAFailure) {
    // Libraries load code and may wait for the device at a first call.
    try context.exclusively { () throws(CUDAFailure) in
      let stream = try CUDAStream(context)
      var memory: [DeviceMemory] = []
      defer { withExtendedLifetime(memory) { try? stream.synchronize() } }
      for byteCount in slots {
        let piece = try DeviceMemory(context, byteCount: byteCount)
        memory.append(piece)
        try stream.fill(piece.address, byte: byte, byteCount: byteCount)
      }
      try body(stream, memory.map(\.address))
      try stream.synchronize()
    }
  }
}
