/// A module for the driver to load, with the code of some kernels.
public struct CUDAImage: Sendable {
  /// The machine code, a cubin.
  public var bytes: [UInt8]
  /// The `key` of each kernel that was asked for and whose entry points are in it.
  public var keys: [String]
}
