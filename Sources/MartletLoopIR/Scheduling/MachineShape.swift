/// What schedules know of the processor that a nest is for.
///
/// The number of workers is not part of it: the order of every sum is fixed by shape and schedule alone, so that results do
/// not depend on how many threads there are.
public struct MachineShape: Hashable, Sendable {
  /// The bytes of one vector register: 16, 32 or 64.
  public var vectorBytes: Int
  /// The bytes of a core's first-level data cache and of its second-level cache.
  public var l1: Int
  public var l2: Int
  /// The bytes of the last cache before memory, which all cores share.
  public var l3: Int

  public init(vectorBytes: Int = 64, l1: Int = 32 << 10, l2: Int = 1 << 20, l3: Int = 32 << 20) {
    (self.vectorBytes, self.l1, self.l2, self.l3) = (vectorBytes, l1, l2, l3)
  }
}
