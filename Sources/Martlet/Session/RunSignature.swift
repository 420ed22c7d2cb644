import Foundation
import MartletExecution
import MartletGraph
import MartletTensors

/// What a run is asked for, but for the feeds' shapes; and the plans that were made for it.
final class RunSignature: @unchecked Sendable {
  struct Key: Hashable {
    var fetches: [ValueID]
    var targets: [NodeID]
    var feeds: [ValueID]
  }

  /// A plan for one set of shapes, with the session's variables that it works on.
  struct Compiled: Sendable {
    var types: [TensorType]
    var plan: any RunnablePlan
    var variables: [StoredVariable]
  }

  let key: Key
  private let lock = NSLock()
  /// The plan used last at the front.
  private var plans: [Compiled] = []
  /// Of all plans.
  private var instructionCount = 0
  /// The types of feeds whose plans were dropped to make room.
  private var dropped: Set<[TensorType]> = []
  /// The graph's forwardings at the time of the plans.
  private var forwardingCount = 0

  /// Beyond so many plans, or so many instructions in them but for a few plans, those used longest ago are dropped. Their code
  /// stays cached.
  ///
  /// An instruction takes some kilobytes of memory, nearly all that a plan takes while it is not run; see `mostWithMemory`.
  static let capacity = 1024
  private static let instructionCapacity = 1 << 17
  static let leastCapacity = 16
  /// Of so many plans, those used last, the memory of runs is kept: that of usual batches and of a last one, say.
  private static let mostWithMemory = 2
  /// Of so many it is known that they were dropped.
  private static let droppedCapacity = 1024

  private let capacity: Int

  init(_ key: Key, capacity: Int) { (self.key, self.capacity) = (key, capacity) }

  /// The plan for feeds of these types, compiled if there is none.
  ///
  /// - Parameter compile: given why it is needed, nil for the signature's first plan.
  func plan(
    for feeds: [Tensor], forwardingCount: Int,
    compile: ([TensorType], SessionStatistics.Reason?) throws -> Compiled
  ) throws -> Compiled {
    lock.lock()
    defer { lock.unlock() }
    var reason: SessionStatistics.Reason?
    if self.forwardingCount != forwardingCount {
      if !plans.isEmpty { reason = .forwarding }
      plans = []
      instructionCount = 0
      dropped = []
      self.forwardingCount = forwardingCount
    }
    if let i = plans.firstIndex(where: { Self.fits($0.types, feeds) }) {
      if i > 0 {
        plans.insert(plans.remove(at: i), at: 0)
        releaseMemory()
      }
      return plans[0]
    }
    let types = feeds.map(\.type)
    if reason == nil, !plans.isEmpty { reason = dropped.contains(types) ? .eviction : .shapes }
    let compiled = try compile(types, reason)
    plans.insert(compiled, at: 0)
    instructionCount += compiled.plan.plan.instructionCount
    releaseMemory()
    while plans.count > capacity
      || plans.count > Self.leastCapacity && instructionCount > Self.instructionCapacity
    {
      if dropped.count >= Self.droppedCapacity { dropped = [] }
      let last = plans.removeLast()
      instructionCount -= last.plan.plan.instructionCount
      dropped.insert(last.types)
    }
    return compiled
  }

  /// Has the plan that is first now keep its memory, and the one that has ceased to be among the last ones give it up: others
  /// take it from the pool.
  private func releaseMemory() {
    plans[0].plan.keepIdleMemory(true)
    if plans.count > Self.mostWithMemory { plans[Self.mostWithMemory].plan.keepIdleMemory(false) }
  }

  private static func fits(_ types: [TensorType], _ feeds: [Tensor]) -> Bool {
    for (type, feed) in zip(types, feeds) {
      guard type.elementType == feed.elementType, let dimensions = type.shape.dimensions,
        dimensions.count == feed.shape.count
      else { return false }
      for (dimension, extent) in zip(dimensions, feed.shape) where dimension.known != extent { return false }
    }
    return true
  }
}
