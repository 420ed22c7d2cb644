import CMartletRuntime

/// One run over a plan's records.
///
/// Everything here is a plain value: what goes on for each instruction is a switch and a call.
struct PlanRunner {
  private let records: UnsafeMutablePointer<InstructionRecord>
  private let blocks: UnsafeMutablePointer<BlockRange>
  private let pointers: UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>
  private let state: UnsafeMutablePointer<RunState>
  private let status: UnsafeMutablePointer<martlet_status>
  /// Where times go, if the run is traced.
  private let trace: TraceBuffer?
  /// The record at which the run ended early.
  private(set) var failedRecord: Int?

  init(_ plan: BoundPlan, _ instance: PlanInstance, trace: TraceBuffer?) {
    records = plan.records
    blocks = plan.blocks
    pointers = instance.pointers
    state = instance.state
    status = instance.state.pointee.status
    self.trace = trace
  }

  /// Runs a block; false if it ended early.
  mutating func run(block: Int) -> Bool {
    let range = blocks[block]
    var number = range.start
    while number < range.end {
      let record = records + number
      let begin = trace?.now() ?? 0
      switch record.pointee.kind {
      case .call:
        let result = record.pointee.function(
          UnsafeMutableRawPointer(state), UnsafePointer(pointers + record.pointee.firstPointer), record.pointee.data)
        if result != 0 || status.pointee.code != 0 {
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
      }
      trace?.add(record: number, begin: begin)
      number += 1
    }
    return true
  }

  private func isTrue(_ record: UnsafeMutablePointer<InstructionRecord>) -> Bool {
    (pointers[record.pointee.firstPointer]?.pointee ?? 0) != 0
  }
}
