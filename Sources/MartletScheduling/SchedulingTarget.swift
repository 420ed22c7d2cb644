import MartletGraph

/// What a plan depends on beyond what passes ask of a device.
public protocol SchedulingTarget: Target {
  /// The most workers that take part in a wide step.
  var workerCount: Int { get }
  /// Bytes of scratch memory that a library call needs.
  func scratchBytes(for contract: LibraryContract) -> Int
  /// Whether a library call is worth the whole team.
  func isWide(_ contract: LibraryContract) -> Bool
}
