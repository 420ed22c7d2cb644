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
  /// The types of feeds whose plans were dropped to make room.
  private var dropped: Set<[TensorType]> = []
  /// The graph's forwardings at the time of the plans.
  private var forwardingCount = 0

  /// Plans for more sets of shapes than this are dropped, the one used longest ago first. Their code stays cached.
  static let capacity = 16
  /// Of so many it is known that they were dropped.
  private static let droppedCapacity = 1024

  init(_ key: Key) { self.key = key }

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
      dropped = []
      self.forwardingCount = forwardingCount
    }
    if let i = plans.firstIndex(where: { Self.fits($0.types, feeds) }) {
      if i > 0 { plans.insert(plans.remove(at: i), at: 0) }
      return plans[0]
    }
    let types = feeds.map(\.type)
    if reason == nil, !plans.isEmpty { reason = dropped.contains(types) ? .eviction : .shapes }
    let compiled = try compile(types, reason)
    plans.insert(compiled, at: 0)
    if plans.count > Self.capacity {
      if dropped.count >= Self.droppedCapacity { dropped = [] }
      dropped.insert(plans.removeLast().types)
    }
    return compiled
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
