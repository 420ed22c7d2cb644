import CMartletRuntime
import Foundation
import MartletDiagnostics
import MartletExecution
import MartletLoopIR
import MartletScheduling
import Synchronization

/// Chooses the schedules of kernels by running some of them, and keeps the choices.
///
/// All schedules that are tried compute the same bits, so a choice that falls differently on another day changes times only.
final class ScheduleTuner: Sendable {
  /// Seconds that a run of a kernel takes under each schedule, or nil where one cannot be run.
  typealias Measure = @Sendable (StageProgram, [Schedule]) -> [Double?]

  private let machine: MachineShape
  private let store: CodeStore?
  private let context: String
  private let measure: Measure
  private let known = Mutex<[StructuralKey: Schedule]>([:])

  /// Less work is not worth tuning, in floating-point additions: about 10 µs.
  static let leastWork = 1 << 20
  /// How much faster a schedule has to be to take the place of the one before, so that noise decides little.
  static let gain = 1.03

  /// - Parameters:
  ///   - store: where choices are kept for processes to come.
  ///   - workers: how many workers the choices are for.
  init(machine: MachineShape, workers: Int, store: CodeStore?, measure: @escaping Measure) {
    self.machine = machine
    self.store = store
    self.measure = measure
    let facts = martlet_machine_facts().pointee
    context =
      "schedules 1 \(CodeGenerationVersion.fingerprint) \(facts.code_features) \(facts.vector_bits) \(machine) \(workers)"
  }

  /// The fastest schedule for a program, if it is worth looking for one.
  func schedule(for program: StageProgram) -> Schedule? {
    guard program.work >= Self.leastWork else { return nil }
    let key = program.structuralKey
    if let schedule = known.withLock({ $0[key] }) ?? kept(key) {
      known.withLock { $0[key] = schedule }
      return schedule
    }
    let schedule = choose(for: program)
    known.withLock { $0[key] = schedule }
    keep(schedule, key)
    return schedule
  }

  /// Goes from respect to respect, and takes what is best in each with what was best in those before.
  private func choose(for program: StageProgram) -> Schedule {
    let first = Schedule.default(for: program, machine: machine)
    var best = first
    for number in first.variants(for: program, machine: machine).indices {
      // The alternatives to the best so far; there may be fewer of them than there were to the first.
      let lists = best.variants(for: program, machine: machine)
      guard number < lists.count else { break }
      let times = measure(program, [best] + lists[number])
      guard let current = times[0] else { break }
      let fastest = zip(lists[number], times.dropFirst()).compactMap { schedule, time in time.map { (schedule, $0) } }
        .min { $0.1 < $1.1 }
      if let fastest, fastest.1 * Self.gain < current { best = fastest.0 }
    }
    return best
  }

  // MARK: On disk

  private func name(_ key: StructuralKey) -> String { "schedule-\(CodeStore.digest(context))-\(key.digest)" }

  private func kept(_ key: StructuralKey) -> Schedule? {
    guard let content = store?.read([name(key)]).contents.first, let file = CodeFile(content),
      file.context == context, file.kernels == [key.bytes]
    else { return nil }
    return try? JSONDecoder().decode(Schedule.self, from: Data(file.object))
  }

  private func keep(_ schedule: Schedule, _ key: StructuralKey) {
    guard let store, let data = try? JSONEncoder().encode(schedule) else { return }
    store.remove(name(key))
    store.write(CodeFile(context: context, kernels: [key.bytes], object: [UInt8](data)).bytes, names: [name(key)])
  }
}
