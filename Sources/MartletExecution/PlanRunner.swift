import CMartletRuntime

/// One run over a plan's records.
///
/// Everything here is a plain value: what goes on for each instruction is a switch and a call.
struct PlanRunner {
  private let records: UnsafeMutablePointer<InstructionRecord>
  private let blocks: UnsafeMutablePointer<BlockRange>
  private let groups: UnsafeMutablePointer<GroupShares>
  private let pointers: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>
  private let state: UnsafeMutablePointer<RunState>
  private let status: UnsafeMutablePointer<martlet_status>
  /// Where times go, if the run is traced; the plan's run keeps it alive.
  private let trace: Unmanaged<TraceBuffer>?
  /// The record at which the run ended early.
  private(set) var failedRecord: Int?

  init(_ plan: BoundPlan, _ instance: PlanInstance, trace: TraceBuffer?) {
    records = plan.records
    blocks = plan.blocks
    groups = plan.groups
    pointers = instance.pointers
    state = instance.context.state
    status = instance.context.state.pointee.status
    self.trace = trace.map { Unmanaged.passUnretained($0) }
  }

  /// Runs a block; false if it ended early.
  mutating func run(block: Int) -> Bool {
    let range = blocks[block]
    var number = range.start
    while number < range.end {
      let record = records + number
      if record.pointee.kind == .call, trace == nil {
        guard call(record) else {
          failedRecord = number
          return false
        }
        number += 1
        continue
      }
      let begin = now()
      switch record.pointee.kind {
      case .call:
        guard call(record) else {
          failedRecord = number
          return false
        }
      case .conditional:
        let isTrue = isTrue(record)
        guard run(block: isTrue ? record.pointee.first : record.pointee.second) else { return false }
      case .loop:
        let around = state.pointee.parameters[1]
        var iteration: Int64 = 0
        while true {
          guard run(block: record.pointee.first) else { return false }
          guard isTrue(record) else { break }
          iteration += 1
          state.pointee.parameters[1] = RunState.number(ofIteration: iteration, around: around)
          guard run(block: record.pointee.second) else { return false }
        }
        // Nothing else must depend on whether the schedule puts the loop before or behind it.
        state.pointee.parameters[1] = around
      case .group:
        guard run(group: record.pointee.first) else { return false }
        number = record.pointee.second
        continue
      }
      finish(number, since: begin)
      number += 1
    }
    return true
  }

  @inline(__always) private func call(_ record: UnsafeMutablePointer<InstructionRecord>) -> Bool {
    call(record, state) && status.pointee.code == 0
  }

  @inline(__always) private func call(
    _ record: UnsafeMutablePointer<InstructionRecord>, _ state: UnsafeMutablePointer<RunState>
  ) -> Bool {
    record.pointee.function(
      UnsafeMutableRawPointer(state), UnsafePointer(pointers + record.pointee.firstPointer), record.pointee.data) == 0
  }

  private func isTrue(_ record: UnsafeMutablePointer<InstructionRecord>) -> Bool {
    (pointers[record.pointee.firstPointer]?.pointee ?? 0) != 0
  }

  private func now() -> UInt64 { trace?._withUnsafeGuaranteedRef { $0.now() } ?? 0 }

  private func finish(_ record: Int, since begin: UInt64, worker: Int = 0) {
    trace?._withUnsafeGuaranteedRef { $0.add(record: record, begin: begin, worker: worker) }
  }

  // MARK: Groups

  /// A group as its workers see it.
  fileprivate struct Launch {
    var runner: PlanRunner
    var shares: GroupShares
    var progress: GroupProgress
    var ends: UnsafeMutableBufferPointer<ShareEnd>
  }

  /// How a worker's share of a group has ended. Each has a status of its own, so that it is known which record failed.
  fileprivate struct ShareEnd {
    /// The record at which it ended early.
    var record: Int?
    var status = martlet_status()
  }

  /// Runs a group's records on the team; false if one of them ended the run.
  private mutating func run(group: Int) -> Bool {
    let shares = groups[group]
    let failed = GroupProgress.withCounters(shares.workerCount) { progress in
      withUnsafeTemporaryAllocation(of: ShareEnd.self, capacity: shares.workerCount) { ends in
        ends.initialize(repeating: ShareEnd())
        var launch = Launch(runner: self, shares: shares, progress: progress, ends: ends)
        withUnsafeMutablePointer(to: &launch) { pointer in
          martlet_team_parallel(
            { context, worker, workers in
              guard let launch = context?.assumingMemoryBound(to: Launch.self) else { return }
              launch.pointee.run(worker: Int(worker), of: Int(workers))
            }, UnsafeMutableRawPointer(pointer))
        }
        // The records before the lowest that fails are all carried out, whatever the workers' speed: it fails in every run.
        return ends.filter { $0.record != nil }.min { $0.record ?? 0 < $1.record ?? 0 }
      }
    }
    guard let failed else { return true }
    failedRecord = failed.record
    status.pointee = failed.status
    return false
  }

  /// Carries out one worker's share of a group.
  fileprivate func run(_ launch: Launch, worker: Int, _ end: inout ShareEnd) {
    end.record = withUnsafeMutablePointer(to: &end.status) { status in
      var state = state.pointee
      state.status = status
      var done: UInt32 = 0
      for entry in launch.shares.share(of: worker) {
        for wait in launch.shares.waits(of: entry) {
          guard launch.progress.wait(for: Int(wait.worker), wait.count) else {
            launch.progress.stop(worker)
            return nil
          }
        }
        let begin = now()
        guard call(records + entry.record, &state), status.pointee.code == 0 else {
          launch.progress.stop(worker)
          return entry.record
        }
        finish(entry.record, since: begin, worker: worker)
        done += 1
        launch.progress.report(worker, done)
      }
      return nil
    }
  }

  /// Carries out a whole group on one worker.
  fileprivate func run(all records: Range<Int>, _ end: inout ShareEnd) {
    end.record = withUnsafeMutablePointer(to: &end.status) { status in
      var state = state.pointee
      state.status = status
      for record in records {
        let begin = now()
        guard call(self.records + record, &state), status.pointee.code == 0 else { return record }
        finish(record, since: begin)
      }
      return nil
    }
  }
}

extension PlanRunner.Launch {
  /// What one worker of the team does.
  fileprivate func run(worker: Int, of workers: Int) {
    if workers >= shares.workerCount {
      if worker < shares.workerCount { runner.run(self, worker: worker, &ends[worker]) }
    } else if worker == 0 {
      // Workers that wait for each other have to run at the same time, and a team may be smaller than the plan's.
      runner.run(all: shares.records, &ends[0])
    }
  }
}
