import Testing

@testable import MartletTensors

@Suite struct PagePoolTests {
  @Test func aLargeBlockComesBack() {
    let pool = PagePool()
    let first = pool.allocate(byteCount: 1 << 20)
    pool.deallocate(first, byteCount: 1 << 20)
    let second = pool.allocate(byteCount: (1 << 20) - 100)
    #expect(first == second)
    #expect(pool.statistics.reuses == 1)
    #expect(pool.statistics.allocations == 2)
    #expect(pool.statistics.keptBytes == 0)
    pool.deallocate(second, byteCount: (1 << 20) - 100)
    #expect(pool.statistics.liveBytes == 0)
    #expect(pool.statistics.peakLiveBytes == 1 << 20)
    pool.trim()
    #expect(pool.statistics.keptBytes == 0)
  }

  @Test func keptMemoryIsBoundedAndTheOldestGoesFirst() {
    let pool = PagePool(keepLimit: 3 << 20)
    let blocks = (0..<4).map { _ in pool.allocate(byteCount: 1 << 20) }
    for block in blocks { pool.deallocate(block, byteCount: 1 << 20) }
    #expect(pool.statistics.keptBytes == 3 << 20)
    // The first is gone, and the last given back is the first handed out.
    #expect((0..<3).map { _ in pool.allocate(byteCount: 1 << 20) } == blocks[1...].reversed())
    for block in blocks[1...] { pool.deallocate(block, byteCount: 1 << 20) }
    pool.trim(toBytes: 1 << 20)
    #expect(pool.statistics.keptBytes == 1 << 20)
    pool.trim()
  }

  @Test func whatIsWantedBrieflyComesFromTheBlockUsedLast() {
    let pool = PagePool()
    pool.reserve(byteCount: 1 << 20, count: 2)
    #expect(pool.statistics.keptBytes == 2 << 20)
    pool.reserve(byteCount: 1 << 19, count: 2)
    #expect(pool.statistics.keptBytes == 2 << 20 && pool.statistics.liveBytes == 0)
    let large = pool.allocate(byteCount: 4 << 20)
    pool.deallocate(large, byteCount: 4 << 20)
    let first = pool.allocateBriefly(byteCount: 100_000)
    #expect(first.address == large && first.byteCount == 4 << 20)
    let second = pool.allocateBriefly(byteCount: 100_000)
    #expect(second.byteCount == 1 << 20 && pool.statistics.liveBytes == 5 << 20)
    // Nothing is large enough.
    let third = pool.allocateBriefly(byteCount: 2 << 20)
    #expect(third.byteCount == 2 << 20)
    for block in [first, second, third] { pool.deallocate(block.address, byteCount: block.byteCount) }
    #expect(pool.statistics.liveBytes == 0 && pool.statistics.keptBytes == 8 << 20)
    pool.reserve(byteCount: 100, count: 9)
    let small = pool.allocateBriefly(byteCount: 100)
    #expect(small.byteCount < 4096)
    pool.deallocate(small.address, byteCount: small.byteCount)
    #expect(pool.statistics.keptBytes == 8 << 20)
    pool.trim()
  }

  @Test func aBlockLargerThanTheLimitIsNotKept() {
    let pool = PagePool(keepLimit: 1 << 20)
    pool.deallocate(pool.allocate(byteCount: 8 << 20), byteCount: 8 << 20)
    #expect(pool.statistics.keptBytes == 0)
  }

  @Test func smallBlocksAreNotKept() {
    let pool = PagePool()
    pool.deallocate(pool.allocate(byteCount: 100), byteCount: 100)
    #expect(pool.statistics.keptBytes == 0)
    #expect(pool.statistics.liveBytes == 0)
  }

  @Test(arguments: [0, 1, 63, 64, 65, 4095, 65_535, 65_536, 65_537, 1 << 20, (1 << 20) + 1, 3_000_001, 1 << 33])
  func sizeClassesHoldTheRequestAndWasteLittle(byteCount: Int) {
    let size = PagePool.sizeClass(byteCount)
    #expect(size >= byteCount)
    #expect(size % PagePool.alignment == 0)
    #expect(size - byteCount <= max(PagePool.alignment, max(4096, byteCount / 8)))
    #expect(PagePool.sizeClass(size) == size)
  }

  /// Each task writes its own mark over a block and must find it there: no block is handed out twice.
  @Test func threadsNeverShareABlock() async {
    let pool = PagePool(keepLimit: 4 << 20)
    await withTaskGroup(of: Bool.self) { group in
      for task in 0..<4 {
        group.addTask {
          var random = SplitMix64(seed: UInt64(task))
          for _ in 0..<200 {
            let byteCount = Int.random(in: 60_000...200_000, using: &random)
            let block = pool.allocate(byteCount: byteCount)
            let mark = UInt8(task + 1)
            let words = UnsafeMutableRawBufferPointer(start: block, count: byteCount)
            for i in Swift.stride(from: 0, to: byteCount, by: 4096) { words[i] = mark }
            for i in Swift.stride(from: 0, to: byteCount, by: 4096) where words[i] != mark { return false }
            pool.deallocate(block, byteCount: byteCount)
          }
          return true
        }
      }
      for await intact in group { #expect(intact) }
    }
    let statistics = pool.statistics
    #expect(statistics.liveBytes == 0)
    #expect(statistics.allocations == 800)
    #expect(statistics.keptBytes <= 4 << 20)
    pool.trim()
  }
}
