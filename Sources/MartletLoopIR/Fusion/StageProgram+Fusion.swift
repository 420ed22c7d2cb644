import MartletTensors

extension StageProgram {
  /// The program with producers in the place of the loads that read them, and without stages that nothing uses.
  ///
  /// 1. A map goes into its users if each of its elements is then computed about once, or if it costs next to nothing. How
  ///    often an element is computed follows from the axes that the load's indices use, down to the innermost: what does
  ///    not depend on further axes is hoisted out of their loops.
  /// 2. A map that only takes each element of a reduction further becomes the reduction's finish.
  /// 3. Stages without users go.
  ///
  /// - Parameter repeating: whether every map goes into its users, however often its elements are then computed: for
  ///   looking at what is computed rather than for running it.
  public func fused(repeating: Bool = false) -> StageProgram {
    var inliner = StageInliner(self, isRepeating: repeating)
    // Maps that went into their users hold all that went into them: nothing may walk them again.
    let inlined = inliner.run().withoutDeadStages()
    guard inlined.stages.contains(where: { if case .reduce = $0.kind { true } else { false } }) else { return inlined }
    var finisher = ReductionFinisher(inlined)
    return finisher.run().withoutDeadStages()
  }

  /// The program without stages that no output needs.
  func withoutDeadStages() -> StageProgram {
    var isNeeded = [Bool](repeating: false, count: stages.count)
    for case .stage(let i) in outputs { isNeeded[i] = true }
    for i in stages.indices.reversed() where isNeeded[i] {
      for id in scalars.reachable(from: stages[i].roots) where scalars[id].operation == .load {
        if case .stage(let source) = Source(payload: scalars[id].payload) { isNeeded[source] = true }
      }
    }
    return keeping(isNeeded)
  }

  /// The program that computes one of the outputs alone, and the inputs that it reads, in order.
  public func restricted(toOutput output: Int) -> (program: StageProgram, inputs: [Int]) {
    var program = self
    program.outputs = [outputs[output]]
    program = program.withoutDeadStages()
    var isRead = [Bool](repeating: false, count: inputs.count)
    let sources = program.scalars.rows.lazy.filter { $0.operation == .load }.map { Source(payload: $0.payload) }
    for case .input(let i) in program.outputs + sources { isRead[i] = true }
    let all = [Bool](repeating: true, count: program.stages.count)
    return (program.keeping(all, inputs: isRead), inputs.indices.filter { isRead[$0] })
  }

  /// The program with the stages and inputs that are marked; the others must not be used.
  private func keeping(_ isKept: [Bool], inputs isRead: [Bool]? = nil) -> StageProgram {
    func numbers(_ isKept: [Bool]) -> [Int] {
      var next = 0
      return isKept.map { kept in
        defer { next += kept ? 1 : 0 }
        return next
      }
    }
    let stageNumbers = numbers(isKept)
    let inputNumbers = isRead.map { numbers($0) } ?? Array(inputs.indices)
    func moved(_ source: Source) -> Source {
      switch source {
      case .stage(let i): .stage(stageNumbers[i])
      case .input(let i): .input(inputNumbers[i])
      }
    }
    var builder = ScalarBuilder()
    var kept: [Stage] = []
    for (i, stage) in stages.enumerated() where isKept[i] {
      builder.axisExtents = stage.axisExtents
      let axes = stage.axisExtents.indices.map { builder.axis($0) }
      let copies = builder.copy(stage.roots, from: scalars, axes: axes) { b, row, indices, condition in
        b.load(moved(Source(payload: row.payload)), row.type, at: indices, if: condition)
      }
      kept.append(stage.replacingRoots(copies.map(\.id)))
    }
    let keptInputs = isRead.map { isRead in inputs.indices.filter { isRead[$0] }.map { inputs[$0] } } ?? inputs
    return StageProgram(scalars: builder.arena, inputs: keptInputs, stages: kept, outputs: outputs.map(moved))
  }
}

/// Puts maps in the place of the loads that read them.
private struct StageInliner {
  /// What may be computed several times over, in floating-point additions.
  private static let trifle = 2
  /// More rows are not put into one kernel.
  private static let maximumRows = 4000

  private let program: StageProgram
  private let accesses: StageAccesses
  private var builder = ScalarBuilder()
  private var stages: [Stage] = []
  /// The value of a map that goes into its users, over its own axes, in the new arena.
  private var bodies: [Int: ScalarID] = [:]
  /// What an element costs, with all that has gone into it.
  private var costs: [Int]
  /// The loads of each stage in the old arena, with the stages that they are in.
  private var uses: [[(stage: Int, load: ScalarID)]]
  private var isOutput: [Bool]
  private let isRepeating: Bool

  init(_ program: StageProgram, isRepeating: Bool) {
    self.program = program
    self.isRepeating = isRepeating
    accesses = StageAccesses(program)
    costs = Array(repeating: 0, count: program.stages.count)
    uses = Array(repeating: [], count: program.stages.count)
    isOutput = Array(repeating: false, count: program.stages.count)
    for case .stage(let i) in program.outputs { isOutput[i] = true }
    for (i, stage) in program.stages.enumerated() {
      for load in accesses.loads(stage.roots) {
        if case .stage(let source) = Source(payload: program.scalars[load].payload) { uses[source].append((i, load)) }
      }
    }
  }

  mutating func run() -> StageProgram {
    for (i, stage) in program.stages.enumerated() {
      builder.axisExtents = stage.axisExtents
      let axes = stage.axisExtents.indices.map { builder.axis($0) }
      let bodies = bodies
      let copies = builder.copy(stage.roots, from: program.scalars, axes: axes) { b, row, indices, condition in
        let source = Source(payload: row.payload)
        guard case .stage(let number) = source, let body = bodies[number] else {
          return b.load(source, row.type, at: indices, if: condition)
        }
        return b.substituting(body, axes: indices, if: condition)
      }
      stages.append(stage.replacingRoots(copies.map(\.id)))
      costs[i] = cost(of: i)
      if isInlined(i) { self.bodies[i] = copies[0].id }
    }
    return StageProgram(
      scalars: builder.arena, inputs: program.inputs, stages: stages, outputs: program.outputs)
  }

  /// The stage's own work for an element and that of the maps that have gone into it.
  private func cost(of number: Int) -> Int {
    let stage = program.stages[number]
    var total = accesses.cost(accesses.body(of: stage))
    for load in accesses.loads(stage.roots) {
      if case .stage(let source) = Source(payload: program.scalars[load].payload), bodies[source] != nil {
        total = min(total + costs[source], 1 << 30)
      }
    }
    return total
  }

  private func isInlined(_ number: Int) -> Bool {
    let stage = program.stages[number]
    guard case .map = stage.kind, !isOutput[number], builder.arena.count < Self.maximumRows else { return false }
    if isRepeating || costs[number] <= Self.trifle || stage.result.elementCount == 1 { return true }
    var evaluations = 0.0
    for use in uses[number] { evaluations += self.evaluations(of: use.load, in: program.stages[use.stage]) }
    return evaluations <= 1.01 * Double(stage.result.elementCount)
  }

  /// How often a load is carried out in the loops of its stage, innermost loops that it does not depend on left out.
  private func evaluations(of load: ScalarID, in stage: Stage) -> Double {
    let domain = accesses.domain(of: stage)
    var innermost = -1
    for id in program.scalars.reachable(from: [load]) where program.scalars[id].operation == .axis {
      innermost = max(innermost, Int(program.scalars[id].payload))
    }
    return domain.prefix(innermost + 1).reduce(1.0) { $0 * Double($1) }
  }
}

/// Turns maps over a reduction's elements into the reduction's finish.
private struct ReductionFinisher {
  private let program: StageProgram
  private let accesses: StageAccesses
  private var builder = ScalarBuilder()

  init(_ program: StageProgram) {
    self.program = program
    accesses = StageAccesses(program)
  }

  mutating func run() -> StageProgram {
    var isOutput = [Bool](repeating: false, count: program.stages.count)
    for case .stage(let i) in program.outputs { isOutput[i] = true }
    var users: [[Int]] = Array(repeating: [], count: program.stages.count)
    for (i, stage) in program.stages.enumerated() {
      for load in accesses.loads(stage.roots) {
        if case .stage(let source) = Source(payload: program.scalars[load].payload), users[source].last != i {
          users[source].append(i)
        }
      }
    }
    /// For a map, the reduction that it finishes.
    var finished: [Int: Int] = [:]
    for (i, stage) in program.stages.enumerated() {
      guard case .reduce = stage.kind, !isOutput[i], users[i].count == 1, finished[users[i][0]] == nil,
        takesEachElement(of: i, in: users[i][0])
      else { continue }
      finished[users[i][0]] = i
    }
    var stages: [Stage] = []
    for (i, stage) in program.stages.enumerated() {
      if let reduction = finished[i] {
        stages.append(merged(program.stages[reduction], number: reduction, with: stage))
      } else {
        stages.append(copied(stage))
      }
    }
    return StageProgram(scalars: builder.arena, inputs: program.inputs, stages: stages, outputs: program.outputs)
  }

  /// Whether a map's every element reads the reduction's element at the same place, and only that.
  private func takesEachElement(of reduction: Int, in user: Int) -> Bool {
    let stage = program.stages[user]
    guard case .map = stage.kind else { return false }
    let own = significantAxes(stage.extents)
    let other = significantAxes(program.stages[reduction].extents)
    guard own.map({ stage.extents[$0] }) == other.map({ program.stages[reduction].extents[$0] }) else { return false }
    for load in accesses.loads(stage.roots) where program.scalars[load].payload == Source.stage(reduction).payload {
      let row = program.scalars[load]
      guard row.condition == .none else { return false }
      for (position, axis) in other.enumerated() {
        let index = program.scalars[row.operand(axis)]
        guard index.operation == .axis, index.payload == Int64(own[position]) else { return false }
      }
    }
    return true
  }

  /// The axes of extent other than 1: the others do not tell elements apart.
  private func significantAxes(_ extents: [Int]) -> [Int] { extents.indices.filter { extents[$0] != 1 } }

  private mutating func copied(_ stage: Stage) -> Stage {
    builder.axisExtents = stage.axisExtents
    let axes = stage.axisExtents.indices.map { builder.axis($0) }
    let copies = builder.copy(stage.roots, from: program.scalars, axes: axes) { b, row, indices, condition in
      b.load(Source(payload: row.payload), row.type, at: indices, if: condition)
    }
    return stage.replacingRoots(copies.map(\.id))
  }

  private mutating func merged(_ stage: Stage, number: Int, with map: Stage) -> Stage {
    guard case .reduce(var reduction) = stage.kind, case .map(let value) = map.kind else { return copied(map) }
    // The result's axes become the map's; the reduced axes follow them.
    let own = significantAxes(map.extents)
    let other = significantAxes(stage.extents)
    builder.axisExtents = map.extents + reduction.extents
    var axes = stage.extents.map { _ in builder.integer(0) }
    for (position, axis) in other.enumerated() { axes[axis] = builder.axis(own[position]) }
    axes += reduction.extents.indices.map { builder.axis(map.extents.count + $0) }
    func keep(_ b: inout ScalarBuilder, _ row: ScalarRow, _ indices: [Scalar], _ condition: Scalar?) -> Scalar {
      b.load(Source(payload: row.payload), row.type, at: indices, if: condition)
    }
    let copies = builder.copy(stage.roots, from: program.scalars, axes: axes, load: keep)
    let count = reduction.initial.count
    let element = copies[3 * count]
    let mapAxes = map.extents.indices.map { builder.axis($0) }
    let payload = Source.stage(number).payload
    let finish = builder.copy([value], from: program.scalars, axes: mapAxes) { b, row, indices, condition in
      row.payload == payload ? element : keep(&b, row, indices, condition)
    }
    reduction.initial = copies[0..<count].map(\.id)
    reduction.step = copies[count..<2 * count].map(\.id)
    reduction.merge = copies[2 * count..<3 * count].map(\.id)
    reduction.finish = finish[0].id
    return Stage(name: "\(stage.name)+\(map.name)", result: map.result, kind: .reduce(reduction))
  }
}

extension ScalarBuilder {
  /// A value of this arena with its axes replaced, and zero, with nothing read, where `condition` is false.
  mutating func substituting(_ root: ScalarID, axes: [Scalar], if condition: Scalar?) -> Scalar {
    let isIdentity = axes.enumerated().allSatisfy { number, axis in
      let row = arena[axis.id]
      return row.operation == .axis && row.payload == Int64(number)
    }
    if isIdentity, condition == nil { return Scalar(root, arena.type(of: root)) }
    let rows = arena.reachable(from: [root]).map { ($0, arena[$0]) }
    var copies: [ScalarID: Scalar] = [:]
    for (id, row) in rows {
      var moved = row
      for i in 0..<Int(row.operandCount) { moved.lanes[i] = copies[row.operand(i)]?.id.index ?? row.lanes[i] }
      if row.condition != .none { moved.condition = copies[row.condition]?.id ?? row.condition }
      switch row.operation {
      case .axis: copies[id] = axes[Int(row.payload)]
      case .load:
        if let condition {
          let own = moved.condition == .none ? nil : Scalar(moved.condition, .bool)
          moved.condition = own.map { and(condition, $0).id } ?? condition.id
        }
        copies[id] = intern(moved)
      case .checkIndex:
        if let condition {
          // Where nothing is read, no index is wrong.
          let index = select(condition, Scalar(moved.operand(0), .int64), integer(0))
          moved.lanes[0] = index.id.index
        }
        copies[id] = intern(moved)
      default: copies[id] = intern(moved)
      }
    }
    let value = copies[root] ?? Scalar(root, arena.type(of: root))
    guard let condition else { return value }
    return select(condition, value, constant(bits: 0, value.type))
  }
}
