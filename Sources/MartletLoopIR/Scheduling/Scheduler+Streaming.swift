import MartletTensors

extension Scheduler {
  /// The outputs that are better stored past the caches: arrays that would have left the last cache before anybody reads
  /// them. A store into the caches reads the line first and throws out another, which is a third of a copy's traffic.
  func streamed(_ groups: [Schedule.Group]) -> [Int] {
    let touched = program.inputs.map(\.byteCount) + program.outputs.map { program.type(of: $0).byteCount }
    guard touched.reduce(0, addedSaturating) > machine.l3 else { return [] }
    return streamable(groups, leastBytes: machine.l3 / 2)
  }

  /// The outputs of so many bytes that no unit reads but the one that stores them.
  func streamable(_ groups: [Schedule.Group], leastBytes: Int) -> [Int] {
    let isReadBack = readBack(groups)
    return program.outputs.indices.filter { output in
      guard case .stage(let number) = program.outputs[output], !isReadBack[number] else { return false }
      switch program.stages[number].kind {
      case .map, .reduce: return program.stages[number].result.byteCount >= leastBytes
      // They read what they have stored.
      case .scan, .scatter: return false
      }
    }
  }

  /// For each stage whether other units load what it stores.
  private func readBack(_ groups: [Schedule.Group]) -> [Bool] {
    var unit = [Int](repeating: 0, count: program.stages.count)
    var count = 0
    for group in groups {
      for next in StageUnit.units(of: group.stages, accesses) {
        for stage in next.stages { unit[stage] = count }
        count += 1
      }
    }
    var isReadBack = [Bool](repeating: false, count: program.stages.count)
    for (number, stage) in program.stages.enumerated() {
      for load in accesses.loads(stage.roots) {
        if case .stage(let source) = Source(payload: program.scalars[load].payload), unit[source] != unit[number] {
          isReadBack[source] = true
        }
      }
    }
    return isReadBack
  }
}

private func addedSaturating(_ x: Int, _ y: Int) -> Int {
  let (sum, overflow) = x.addingReportingOverflow(y)
  return overflow ? .max : sum
}
