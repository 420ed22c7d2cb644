import MartletTensors

extension StageProgram {
  /// The inputs whose memory an output may take, under the default schedule: they have its type and extents, and every
  /// element is read for the last time before the same iteration, and no other, writes it.
  ///
  /// One input serves one output: where several outputs are to be in place, each takes another of the inputs.
  public func inPlaceCandidates(output: Int) -> [Int] {
    inPlaceCandidates(output: output, schedule: .default(for: self))
  }

  /// The same under a given schedule.
  public func inPlaceCandidates(output: Int, schedule: Schedule) -> [Int] {
    InPlaceAnalysis(self, schedule).candidates(output: output)
  }
}

/// Answers which inputs an output may overwrite.
public struct InPlaceAnalysis {
  private let program: StageProgram
  private let accesses: StageAccesses
  /// For each stage, the number of its group and of its unit.
  private var places: [(group: Int, unit: Int)] = []
  private var shared: [Int] = []
  /// For each input, the loads of it, with the stage that each is in.
  private var loads: [[(stage: Int, load: ScalarID, isPosition: Bool)]]

  public init(_ program: StageProgram, _ schedule: Schedule) {
    let split = program.prepared(for: schedule)
    self.program = split
    let accesses = StageAccesses(split)
    self.accesses = accesses
    var units = 0
    for (number, group) in schedule.groups.enumerated() {
      for unit in StageUnit.units(of: group.stages, accesses) {
        for _ in unit.stages { places.append((number, units)) }
        units += 1
      }
      shared.append(group.shared)
    }
    loads = Array(repeating: [], count: split.inputs.count)
    for (number, stage) in split.stages.enumerated() {
      // What a scatter's updates read is read after all of its initial elements are written.
      var updates = Set<ScalarID>()
      if case .scatter(let scatter) = stage.kind {
        updates = Set(accesses.loads(scatter.position + [scatter.combine]))
      }
      for load in accesses.loads(stage.roots) {
        if case .input(let input) = Source(payload: split.scalars[load].payload) {
          loads[input].append((number, load, updates.contains(load)))
        }
      }
    }
  }

  public func candidates(output: Int) -> [Int] {
    let source = program.outputs[output]
    guard case .stage(let writer) = source else {
      if case .input(let input) = source { return [input] }
      return []
    }
    return program.inputs.indices.filter { input in
      program.inputs[input] == program.stages[writer].result && !program.outputs.contains(.input(input))
        && loads[input].allSatisfy { isReadBefore($0.stage, $0.load, $0.isPosition, writer: writer) }
    }
  }

  /// Whether a load is done with each element before the writer stores it.
  private func isReadBefore(_ reader: Int, _ load: ScalarID, _ isUpdate: Bool, writer: Int) -> Bool {
    let (read, written) = (places[reader], places[writer])
    if read.group != written.group { return read.group < written.group }
    if read.unit > written.unit || isUpdate { return false }
    let extents = program.stages[reader].extents
    if read.unit == written.unit { return accesses.isIdentity(load, in: extents) }
    // An earlier unit of the same group: the iteration reads only what it will write itself.
    let count = shared[read.group]
    return accesses.identicalIndices(of: load, in: Array(extents.prefix(count))) == count
  }
}
