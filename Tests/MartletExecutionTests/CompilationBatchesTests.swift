import MartletExecution
import Testing

/// Who compiles what.
@Suite struct CompilationBatchesTests {
  @Test(arguments: [[5, 1, 1, 1], [0, 0, 0], [0, 7], [3], []], [1, 2, 8])
  func everyThreadHasAKernel(sizes: [Int], threads: Int) {
    let batches = CompilationBatches.deal(sizes, among: threads)
    #expect(batches.count == min(threads, sizes.count))
    #expect(batches.allSatisfy { !$0.isEmpty })
    #expect(batches.joined().sorted() == Array(sizes.indices))
  }

  @Test func theLargestHasAThreadToItself() {
    #expect(CompilationBatches.deal([1, 9, 2, 3], among: 2) == [[1], [3, 2, 0]])
  }
}
