import Foundation

extension Duration {
  /// What this thread has used of a processor; other work on the machine does not lengthen it.
  static var threadProcessorTime: Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }
}
