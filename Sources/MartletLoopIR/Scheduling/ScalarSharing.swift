import MartletTensors

extension StageProgram {
  /// The program with costly scalars that a reduction and what follows it both compute as stages of their own, or nil where
  /// there are none.
  ///
  /// A softmax, for instance, sums exponentials and then divides them by the sum. What is kept must fit the scratch memory
  /// of one iteration over the axes that all its users share; else it would be written to memory and read again, which
  /// costs more than a second evaluation.
  func keepingSharedScalars() -> StageProgram? {
    guard scalars.rows.contains(where: { $0.operation.cost >= ScalarSharing.leastCost }) else { return nil }
    var result: StageProgram?
    for _ in 0..<ScalarSharing.mostStages {
      guard let next = ScalarSharing(result ?? self).next() else { break }
      result = next
    }
    return result
  }
}

/// Finds one scalar to keep.
private struct ScalarSharing {
  /// What a scalar must cost to be worth a store and a load.
  static let leastCost = 12
  static let mostStages = 8

  private let program: StageProgram
  private let accesses: StageAccesses
  /// For each stage, the stages that it needs, directly or not.
  private var needs: [Set<Int>] = []

  init(_ program: StageProgram) {
    self.program = program
    accesses = StageAccesses(program)
    for stage in program.stages {
      var needed = Set<Int>()
      for load in accesses.loads(stage.roots) {
        if case .stage(let source) = Source(payload: program.scalars[load].payload) {
          needed.insert(source)
          needed.formUnion(needs[source])
        }
      }
      needs.append(needed)
    }
  }

  func next() -> StageProgram? {
    var users: [ScalarID: [Int]] = [:]
    for (number, stage) in program.stages.enumerated() {
      switch stage.kind {
      case .scan, .scatter: continue
      case .map, .reduce: break
      }
      for id in accesses.values(accesses.body(of: stage)) {
        let row = program.scalars[id]
        if row.operation.cost >= Self.leastCost, row.type.isFloatingPoint { users[id, default: []].append(number) }
      }
    }
    // The outermost first: what it contains is then kept along with it.
    for (id, all) in users.sorted(by: { $0.key > $1.key }) where all.count > 1 {
      if let kept = keeping(id, for: all) { return kept }
    }
    return nil
  }

  /// The program with one scalar as a stage, if that is worth while.
  private func keeping(_ id: ScalarID, for users: [Int]) -> StageProgram? {
    let domain = accesses.domain(of: program.stages[users[0]])
    guard users.allSatisfy({ accesses.domain(of: program.stages[$0]) == domain }), users.contains(where: isReduction),
      users.contains(where: { user in users.contains { needs[user].contains($0) } }),
      let last = domain.lastIndex(where: { $0 > 1 }), accesses.depends(id, on: last),
      !program.scalars.reachable(from: [id]).contains(where: { program.scalars[$0].operation == .state })
    else { return nil }
    let kept = inserting(id, domain, for: users)
    let number = users[0]
    let together = Set(users.map { $0 < number ? $0 : $0 + 1 } + [number])
    let groups = Scheduler(kept, MachineShape()).groups()
    guard let home = groups.first(where: { $0.stages.contains(number) }),
      together.isSubset(of: home.stages), home.shared > 0 || domain.reduce(1, *) * 8 <= Scheduler.scratchLimit
    else { return nil }
    return kept
  }

  private func isReduction(_ number: Int) -> Bool {
    if case .reduce = program.stages[number].kind { true } else { false }
  }

  private func inserting(_ id: ScalarID, _ domain: [Int], for users: [Int]) -> StageProgram {
    var builder = ScalarBuilder()
    var stages: [Stage] = []
    let position = users[0]
    func moved(_ source: Source) -> Source {
      if case .stage(let i) = source, i >= position { .stage(i + 1) } else { source }
    }
    func copy(_ roots: [ScalarID], _ extents: [Int], _ replacing: [ScalarID: Scalar] = [:]) -> [ScalarID] {
      let axes = extents.indices.map { builder.axis($0) }
      return builder.copy(roots, from: program.scalars, axes: axes, replacing: replacing) {
        b, row, indices, condition in
        b.load(moved(Source(payload: row.payload)), row.type, at: indices, if: condition)
      }.map(\.id)
    }
    for (number, stage) in program.stages.enumerated() {
      if number == position {
        builder.axisExtents = domain
        let row = program.scalars[id]
        stages.append(
          Stage(
            name: "\(row.operation)", result: BufferType(row.type, domain), kind: .map(copy([id], domain)[0])))
      }
      builder.axisExtents = stage.axisExtents
      var replacing: [ScalarID: Scalar] = [:]
      if users.contains(number) {
        let axes = domain.indices.map { builder.axis($0) }
        replacing[id] = builder.load(.stage(position), program.scalars.type(of: id), at: axes)
      }
      stages.append(stage.replacingRoots(copy(stage.roots, stage.axisExtents, replacing)))
    }
    return StageProgram(
      scalars: builder.arena, inputs: program.inputs, stages: stages, outputs: program.outputs.map(moved))
  }
}
