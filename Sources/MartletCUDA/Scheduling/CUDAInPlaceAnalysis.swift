import MartletLoopIR

/// Answers which inputs an output may overwrite under a schedule.
struct CUDAInPlaceAnalysis: Sendable {
  private let program: StageProgram
  private let schedule: CUDASchedule
  private let accesses: StageAccesses
  private var groupOf: [Int]
  private var launchOf: [Int] = []

  init(_ program: StageProgram, _ schedule: CUDASchedule) {
    self.program = program
    self.schedule = schedule
    accesses = StageAccesses(program)
    groupOf = Array(repeating: 0, count: program.stages.count)
    var launch = 0
    for (number, group) in schedule.groups.enumerated() {
      for stage in group.stages { groupOf[stage] = number }
      if !group.joinsLaunch { launch += 1 }
      launchOf.append(launch)
    }
  }

  func candidates(output: Int) -> [Int] {
    guard case .stage(let writer) = program.outputs[output] else { return [] }
    return program.inputs.indices.filter { input in
      program.inputs[input] == program.stages[writer].result
        && program.stages.indices.allSatisfy { reader in
          accesses.loads(program.stages[reader].roots).allSatisfy { load in
            program.scalars[load].payload != Source.input(input).payload || isReadBefore(load, reader, writer)
          }
        }
    }
  }

  /// Whether a load is done with each element before the writer stores it.
  private func isReadBefore(_ load: ScalarID, _ reader: Int, _ writer: Int) -> Bool {
    if groupOf[reader] != groupOf[writer] { return launchOf[groupOf[reader]] < launchOf[groupOf[writer]] }
    guard case .map = program.stages[reader].kind, case .map = program.stages[writer].kind,
      program.stages[reader].extents == program.stages[writer].extents
    else { return false }
    let units = StageUnit.units(of: schedule.groups[groupOf[writer]].stages, accesses)
    let isOneUnit = units.contains { $0.stages.contains(reader) && $0.stages.contains(writer) }
    return isOneUnit && accesses.isIdentity(load, in: program.stages[reader].extents)
  }
}
