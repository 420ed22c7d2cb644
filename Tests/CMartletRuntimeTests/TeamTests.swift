import CMartletRuntime
import Dispatch
import Glibc
import Testing

extension RuntimeSuite {
  @Suite struct TeamTests {
    /// Adds 1 to slot 0 for each iteration, and counts the call in the worker's scratch memory.
    static let countIterations: martlet_kernel = { parameters, slots, status, scratch, begin, end in
      let counts = UnsafeMutableRawPointer(slots![0]!).assumingMemoryBound(to: Int32.self)
      for i in begin..<end { counts[Int(i)] += 1 }
      scratch![0] += 1
    }

    @Test(arguments: [0, 1, 2, 3, 7, 64, 1000], [1, 2, 3, 5])
    func everyIterationRunsOnce(count: Int, workers: Int32) {
      let before = martlet_team_threads()
      martlet_team_start(workers)
      defer { martlet_team_start(before) }
      for grain in [0, 1, 3, 2000] {
        var counts = [Int32](repeating: 0, count: count + 1)
        var scratch = [UInt8](repeating: 0, count: 64 * Int(workers))
        counts.withUnsafeMutableBytes { bytes in
          var slots: [UnsafeMutablePointer<UInt8>?] = [bytes.baseAddress!.assumingMemoryBound(to: UInt8.self)]
          martlet_team_kernel(
            Self.countIterations, nil, &slots, nil, &scratch, 64, Int64(count), Int64(grain))
        }
        #expect(counts == [Int32](repeating: 1, count: count) + [0])
        let chunks = scratch.reduce(0) { $0 + Int($1) }
        #expect(chunks == (count == 0 ? 0 : max(1, min(Int(workers), count / max(grain, 1)))))
      }
    }

    @Test(arguments: [1, 2, 3, 8]) func aRegionHasAsManyWorkersAsAskedFor(workers: Int32) {
      let before = martlet_team_threads()
      defer { martlet_team_start(before) }
      #expect(martlet_team_start(workers) == workers)
      var seen = [Int32](repeating: -1, count: 8)
      martlet_team_parallel(
        { context, worker, workers in context!.assumingMemoryBound(to: Int32.self)[Int(worker)] = workers }, &seen)
      #expect(seen == (0..<8).map { $0 < workers ? workers : -1 })
    }

    @Test func aRegionWithinARegionRunsOnItsWorkerAlone() {
      var seen = [Int32](repeating: 0, count: Int(martlet_team_threads()))
      martlet_team_parallel(
        { context, worker, _ in
          let mine = context!.assumingMemoryBound(to: Int32.self) + Int(worker)
          martlet_team_parallel(
            { context, _, workers in context!.assumingMemoryBound(to: Int32.self)[0] += workers }, mine)
        }, &seen)
      #expect(seen.allSatisfy { $0 == 1 })
    }

    @Test func tasksOfManyThreadsRunOneAfterTheOther() {
      let total = UnsafeMutablePointer<Int>.allocate(capacity: 1)
      defer { total.deallocate() }
      total.pointee = 0
      let address = UInt(bitPattern: total)
      DispatchQueue.concurrentPerform(iterations: 8) { _ in
        for _ in 0..<100 {
          martlet_team_run(
            { $0!.assumingMemoryBound(to: Int.self).pointee += 1 }, UnsafeMutableRawPointer(bitPattern: address))
        }
      }
      #expect(total.pointee == 800)
    }

    /// Libraries make their plans for the team while the team is at work.
    @Test func plansAreMadeBesideATask() {
      guard String(cString: martlet_team_message()).contains("libgomp") else { return }
      let flags = UnsafeMutablePointer<Int32>.allocate(capacity: 2)
      defer { flags.deallocate() }
      flags.update(repeating: 0, count: 2)
      let address = UInt(bitPattern: flags)
      martlet_team_run(
        { context in
          let flags = context!.assumingMemoryBound(to: Int32.self)
          let address = UInt(bitPattern: flags)
          let made = DispatchSemaphore(value: 0)
          DispatchQueue.global().async {
            martlet_team_plan(
              { $0!.assumingMemoryBound(to: Int32.self).pointee = 1 }, UnsafeMutableRawPointer(bitPattern: address))
            made.signal()
          }
          flags[1] = made.wait(timeout: .now() + 20) == .success ? 1 : 0
        }, UnsafeMutableRawPointer(bitPattern: address))
      #expect(flags[0] == 1 && flags[1] == 1)
    }

    @Test func theFirstFaultIsKept() {
      var status = martlet_status()
      martlet_team_kernel(
        { _, _, status, _, begin, end in
          for i in begin..<end { martlet_status_raise(status, 7, i * 10, i) }
        }, nil, nil, &status, nil, 0, 100, 1)
      #expect(status.code == 7)
      #expect(status.site == status.index * 10)
      martlet_status_raise(&status, 8, 1, 2)
      #expect(status.code == 7)
    }

    @Test func theMachineHasProcessorsAndVectors() {
      let machine = martlet_machine_facts().pointee
      #expect(machine.processors >= 1)
      #expect(machine.page_bytes == Int64(sysconf(Int32(_SC_PAGESIZE))))
      #expect([128, 256, 512].contains(machine.vector_bits))
    }

    @Test func aMissingLibraryIsAMessage() {
      var library = martlet_library()
      var candidates: [UnsafePointer<CChar>?] = [UnsafePointer(strdup("libno-such-thing.so.9")), nil]
      #expect(martlet_library_open(&library, "nothing much", nil, &candidates) == 0)
      let message = withUnsafeBytes(of: &library.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
      #expect(message.hasPrefix("nothing much: not found; libno-such-thing.so.9"))
      free(UnsafeMutablePointer(mutating: candidates[0]))
    }
  }
}
