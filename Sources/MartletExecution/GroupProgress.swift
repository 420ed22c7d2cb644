import CMartletRuntime

/// How far each worker of a group has come in its share.
struct GroupProgress {
  /// The bytes between two workers' counters: what one writes is in no other's cache line.
  private static let stride = 128
  private let bytes: UnsafeMutableRawPointer

  /// The memory for the counters of some workers; it is theirs during the call.
  static func withCounters<Result>(_ count: Int, _ body: (GroupProgress) -> Result) -> Result {
    withUnsafeTemporaryAllocation(byteCount: count * stride, alignment: stride) { memory in
      guard let bytes = memory.baseAddress else { preconditionFailure("a group has no worker") }
      bytes.initializeMemory(as: UInt32.self, repeating: 0, count: memory.count / MemoryLayout<UInt32>.stride)
      return body(GroupProgress(bytes: bytes))
    }
  }

  private init(bytes: UnsafeMutableRawPointer) { self.bytes = bytes }

  private func counter(_ worker: Int) -> UnsafeMutablePointer<UInt32> {
    (bytes + worker * Self.stride).assumingMemoryBound(to: UInt32.self)
  }

  /// Says how many records of its share a worker has carried out.
  func report(_ worker: Int, _ count: UInt32) { martlet_progress_report(counter(worker), count) }

  /// Says that a worker has ended early.
  func stop(_ worker: Int) { martlet_progress_stop(counter(worker)) }

  /// Returns when a worker has come so far; false if it has ended before.
  func wait(for worker: Int, _ count: UInt32) -> Bool { martlet_progress_wait(counter(worker), count) != 0 }
}
