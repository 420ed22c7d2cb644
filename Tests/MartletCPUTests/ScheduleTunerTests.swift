import Foundation
import MartletExecution
import MartletLoopIR
import MartletScheduling
import MartletTensors
import MartletTestSupport
import Synchronization
import Testing

@testable import MartletCPU

struct ScheduleTunerTests {
  private static let machine = MachineShape()

  /// The bits of a schedule's results are those of the schedule that estimates choose.
  @Test(arguments: 0..<10) func variantsComputeTheSameBits(_ block: Int) throws {
    for seed in 5000 + block * 3..<5000 + (block + 1) * 3 {
      let (program, inputs) = RandomStageProgram.program(seed: UInt64(seed))
      let outputs = program.outputs.map { program.type(of: $0) }
      let first = Schedule.default(for: program, machine: Self.machine)
      func bits(_ schedule: Schedule) throws -> [[UInt64]] {
        let nest = lower(program, schedule, for: Self.machine)
        try nest.verify()
        return try CompiledProgramTests.run(nest, inputs, outputs: outputs, pieces: 2).map { $0.map(\.bitPattern) }
      }
      let expected = try bits(first)
      for schedule in first.variants(for: program, machine: Self.machine).joined() {
        #expect(try bits(schedule) == expected, "seed \(seed), \(schedule)")
      }
    }
  }

  @Test func everyRespectIsVaried() throws {
    let map = Self.map(elements: 1 << 20)
    let first = Schedule.default(for: map, machine: Self.machine)
    let lists = first.variants(for: map, machine: Self.machine)
    #expect(lists.count == 4)
    #expect(lists.allSatisfy { list in list.allSatisfy { $0 != first } && Set(list).count == list.count })
    #expect(lists[0].contains { $0.groups[0].vector != first.groups[0].vector })
    #expect(lists.last == [Self.streaming(first)])
    let sums = Self.sums(rows: 1 << 12, columns: 1 << 12)
    #expect(!Schedule.default(for: sums, machine: Self.machine).variants(for: sums, machine: Self.machine).isEmpty)
  }

  private static func streaming(_ schedule: Schedule) -> Schedule {
    var schedule = schedule
    schedule.streamed = [0]
    return schedule
  }

  static func map(elements: Int) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float32, [elements])])
    let y = b.map("Mul", .float32, [elements]) { b, i in
      b.multiply(b.load(.input(0), .float32, at: i), b.constant(3, .float32))
    }
    return b.finish([y])
  }

  static func sums(rows: Int, columns: Int) -> StageProgram {
    var b = StageBuilder(inputs: [BufferType(.float32, [rows, columns])])
    let y = b.reduce("Sum", .float32, [columns], over: [rows], .sum) { b, i, r in
      b.load(.input(0), .float32, at: r + i)
    }
    return b.finish([y])
  }

  /// Takes down what was measured; everything takes as long as `time` says.
  private final class Watch: Sendable {
    let measured = Mutex(0)
    let time: @Sendable (Schedule) -> Double?
    init(_ time: @escaping @Sendable (Schedule) -> Double?) { self.time = time }

    func tuner(_ store: CodeStore? = nil, workers: Int = 2) -> ScheduleTuner {
      ScheduleTuner(machine: machine, workers: workers, store: store) { [self] _, schedules in
        measured.withLock { $0 += schedules.count }
        return schedules.map(time)
      }
    }
  }

  @Test func theFastestIsTaken() throws {
    let map = Self.map(elements: 1 << 20)
    let first = Schedule.default(for: map, machine: Self.machine)
    let fastest = try #require(first.variants(for: map, machine: Self.machine).last?.last)
    #expect(Watch { $0 == fastest ? 1 : 2 }.tuner().schedule(for: map) == fastest)
    // A little less time may be noise.
    #expect(Watch { $0 == fastest ? 1.99 : 2 }.tuner().schedule(for: map) == first)
    // What cannot be run is not chosen.
    #expect(Watch { $0 == first ? 2 : nil }.tuner().schedule(for: map) == first)
    #expect(Watch { _ in nil }.tuner().schedule(for: map) == first)
  }

  @Test func improvementsInSeveralRespectsAddUp() throws {
    let map = Self.map(elements: 1 << 20)
    let chosen = try #require(
      Watch { schedule in
        guard case .shared(_, let lanes, _) = schedule.groups[0].vector else { return 9 }
        return (lanes == 32 ? 1 : 2) * (schedule.streamed.isEmpty ? 2 : 1)
      }.tuner().schedule(for: map))
    guard case .shared(_, let lanes, _) = chosen.groups[0].vector else {
      Issue.record("no lanes: \(chosen)")
      return
    }
    #expect(lanes == 32)
    #expect(chosen.streamed == [0])
  }

  @Test func smallKernelsAreLeftAlone() {
    let watch = Watch { _ in 1 }
    #expect(watch.tuner().schedule(for: Self.map(elements: 100)) == nil)
    #expect(watch.measured.withLock { $0 } == 0)
  }

  /// New tuners stand for new processes.
  @Test func choicesAreKept() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-tune-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let store = try CodeStore(folder)
    let map = Self.map(elements: 1 << 20)
    let first = Watch { $0.streamed.isEmpty ? 2 : 1 }
    let tuner = first.tuner(store)
    let choice = try #require(tuner.schedule(for: map))
    #expect(choice.streamed == [0])
    let count = first.measured.withLock { $0 }
    #expect(tuner.schedule(for: map) == choice)
    #expect(first.measured.withLock { $0 } == count)

    let second = Watch { _ in 1 }
    #expect(second.tuner(store).schedule(for: map) == choice)
    #expect(second.measured.withLock { $0 } == 0)
    // For another number of workers another schedule may be best.
    #expect(second.tuner(store, workers: 3).schedule(for: map) != choice)
    #expect(second.measured.withLock { $0 } > 0)
  }

  @Test func aDamagedFileIsIgnored() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("martlet-tune-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let store = try CodeStore(folder)
    let map = Self.map(elements: 1 << 20)
    let choice = Watch { $0.streamed.isEmpty ? 2 : 1 }.tuner(store).schedule(for: map)
    for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
      let url = URL(fileURLWithPath: folder + "/" + name)
      var bytes = [UInt8](try Data(contentsOf: url))
      bytes[bytes.count / 2] ^= 1
      try Data(bytes).write(to: url)
    }
    let again = Watch { $0.streamed.isEmpty ? 2 : 1 }
    #expect(again.tuner(store).schedule(for: map) == choice)
    #expect(again.measured.withLock { $0 } > 0)
  }

  /// Real measurements, of which nothing is expected but that they are made.
  @Test func kernelsAreRun() throws {
    let workers = CPUBackend(codeCache: .off).workerCount
    let measurement = KernelMeasurement(compiler: NestCompiler(), machine: Self.machine, workers: workers)
    for program in [Self.map(elements: 1000), Self.sums(rows: 300, columns: 20)] {
      let first = Schedule.default(for: program, machine: Self.machine)
      let schedules = [first] + first.variants(for: program, machine: Self.machine).joined()
      #expect(measurement.seconds(program, schedules).allSatisfy { $0! > 0 && $0!.isFinite })
    }
  }
}
