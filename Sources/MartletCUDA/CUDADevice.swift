/// What CUDA code is generated for.
public struct CUDADevice: Hashable, Sendable {
  /// The compute capability, such as 90 for 9.0.
  public var capability: Int
  /// The bytes of shared memory that a block may have without asking for more.
  public var sharedBytes: Int
  /// The bytes that a block may have if it asks for them, as users' kernels do.
  public var mostSharedBytes: Int
  /// The number of streaming multiprocessors: how many blocks keep the device busy.
  public var multiprocessors: Int

  /// The threads of a warp; the same for every device so far.
  public static let warp = 32

  public init(
    capability: Int, sharedBytes: Int = 48 << 10, mostSharedBytes: Int = 48 << 10, multiprocessors: Int
  ) {
    (self.capability, self.multiprocessors) = (capability, multiprocessors)
    (self.sharedBytes, self.mostSharedBytes) = (sharedBytes, mostSharedBytes)
  }

  /// An H100 as it is sold for servers.
  public static let h100 = CUDADevice(capability: 90, mostSharedBytes: 227 << 10, multiprocessors: 132)

  /// The architecture by the name that compilers know, such as `sm_90`.
  public var architecture: String { "sm_\(capability)" }
}
