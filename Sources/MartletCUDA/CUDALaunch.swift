/// A launch of one of a kernel's entry points, in one dimension of blocks and threads.
///
/// It is the same in every run: nothing that changes from run to run is part of it.
public struct CUDALaunch: Hashable, Sendable {
  /// The entry point's name in the compiled code.
  public var entry: String
  public var blocks: Int
  public var threads: Int
  /// Bytes of shared memory beyond what the code declares.
  public var dynamicSharedBytes: Int
}
