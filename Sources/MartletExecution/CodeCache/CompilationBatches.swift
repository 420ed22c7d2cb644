/// Deals kernels that are to be compiled to threads.
package enum CompilationBatches {
  /// The numbers of kernels for each of at most `threads` threads: the largest first, each to the thread with the least so far.
  /// Every thread has one at least.
  ///
  /// - Parameter sizes: estimates of the work of each kernel.
  package static func deal(_ sizes: [Int], among threads: Int) -> [[Int]] {
    var batches = Array(repeating: [Int](), count: min(threads, sizes.count))
    var totals = Array(repeating: 0, count: batches.count)
    for number in sizes.indices.sorted(by: { (sizes[$1], $0) < (sizes[$0], $1) }) {
      let least = totals.indices.min { totals[$0] < totals[$1] }!
      batches[least].append(number)
      totals[least] += max(1, sizes[number])
    }
    return batches
  }
}
