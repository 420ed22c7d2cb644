import MartletTensors

/// What the scalars of a program's stages read, and how the places move along each axis.
package struct StageAccesses {
  package let program: StageProgram
  /// For each scalar row, the axes it depends on, as a bit each.
  private let axesUsed: [UInt64]

  package init(_ program: StageProgram) {
    self.program = program
    var used: [UInt64] = []
    used.reserveCapacity(program.scalars.count)
    for row in program.scalars.rows {
      var bits: UInt64 = row.operation == .axis ? 1 << UInt64(row.payload & 63) : 0
      for i in 0..<Int(row.operandCount) { bits |= used[Int(row.lanes[i])] }
      if row.condition != .none { bits |= used[Int(row.condition.index)] }
      used.append(bits)
    }
    axesUsed = used
  }

  /// The stages whose results must be in memory when these groups run one after the other: those that are loaded by stages of
  /// another group, and those that cannot be anywhere else.
  package func stagesAcross(_ groups: [Range<Int>]) -> [Int] {
    var groupOf = [Int](repeating: 0, count: program.stages.count)
    for (number, stages) in groups.enumerated() { for stage in stages { groupOf[stage] = number } }
    var needed = Set<Int>()
    for (number, stage) in program.stages.enumerated() {
      switch stage.kind {
      case .scan, .scatter: needed.insert(number)
      case .map, .reduce: break
      }
      for load in loads(stage.roots) {
        if case .stage(let source) = Source(payload: program.scalars[load].payload), groupOf[source] != groupOf[number]
        {
          needed.insert(source)
        }
      }
    }
    return needed.sorted()
  }

  // MARK: Rows

  /// The scalars that a stage computes for each element of its whole domain: a map's value, a reduction's next state.
  package func body(of stage: Stage) -> [ScalarID] {
    switch stage.kind {
    case .map(let value): [value]
    case .reduce(let reduction): reduction.step
    case .scan(let scan): [scan.step]
    case .scatter(let scatter): scatter.position + [scatter.combine]
    }
  }

  /// Every scalar of a stage, whatever axes it sees.
  func roots(of stage: Stage) -> [ScalarID] { stage.roots }

  /// The extents of the axes that a stage's body sees.
  package func domain(of stage: Stage) -> [Int] {
    switch stage.kind {
    case .map, .scan: stage.extents
    case .reduce(let reduction): stage.extents + reduction.extents
    case .scatter(let scatter): scatter.updateExtents
    }
  }

  package func loads(_ roots: [ScalarID]) -> [ScalarID] {
    program.scalars.reachable(from: roots).filter { program.scalars[$0].operation == .load }
  }

  /// The rows that compute values rather than the places of loads, in order.
  func values(_ roots: [ScalarID]) -> [ScalarID] {
    let arena = program.scalars
    var needed = Set(roots)
    for id in arena.reachable(from: roots).reversed() where needed.contains(id) {
      let row = arena[id]
      if row.operation != .load { needed.formUnion(row.operands) }
      if row.condition != .none { needed.insert(row.condition) }
    }
    return needed.sorted()
  }

  /// An estimate of the work of one evaluation, in floating-point additions.
  package func cost(_ roots: [ScalarID]) -> Int { values(roots).reduce(0) { $0 + program.scalars[$1].operation.cost } }

  /// The work of a whole stage.
  package func work(_ stage: Stage) -> Int {
    let elements = domain(of: stage).reduce(1, multipliedSaturating)
    var work = multipliedSaturating(elements, cost(body(of: stage)) + 1)
    switch stage.kind {
    case .map, .scan: break
    case .reduce(let reduction):
      work += multipliedSaturating(stage.result.elementCount, cost([reduction.finish]) + 1)
    case .scatter(let scatter): work += multipliedSaturating(stage.result.elementCount, cost([scatter.initial]) + 1)
    }
    return min(work, 1 << 60)
  }

  // MARK: Places

  /// The offset, in elements, at which a load reads its source.
  package func offset(of load: ScalarID) -> AffineForm {
    let row = program.scalars[load]
    let strides = rowMajorStrides(program.type(of: Source(payload: row.payload)).extents)
    var form = AffineForm()
    for (operand, stride) in zip(row.operands, strides) {
      form.add(AffineForm(operand, in: program.scalars), times: Int64(stride))
    }
    return form
  }

  /// How far an offset moves with one step along an axis, or nil where that is not always the same.
  package func stride(of offset: AffineForm, along axis: Int) -> Int64? {
    var stride: Int64 = 0
    for term in offset.terms {
      let row = program.scalars[term.atom]
      if row.operation == .axis, row.payload == Int64(axis) {
        stride = term.coefficient
      } else if axesUsed[Int(term.atom.index)] & (1 << UInt64(axis & 63)) != 0 {
        return nil
      }
    }
    return stride
  }

  /// The axes, as bits, that scalars use otherwise than in the places of loads.
  func axesInValues(_ roots: [ScalarID]) -> UInt64 {
    var bits: UInt64 = 0
    for id in values(roots) {
      let row = program.scalars[id]
      if row.operation == .axis { bits |= 1 << UInt64(row.payload & 63) }
      if row.condition != .none { bits |= axesUsed[Int(row.condition.index)] }
    }
    return bits
  }

  /// Whether a scalar's value can change along an axis.
  package func depends(_ scalar: ScalarID, on axis: Int) -> Bool {
    axesUsed[Int(scalar.index)] & (1 << UInt64(axis & 63)) != 0
  }

  /// The number of leading indices of a load that are the axes of its own stage, with the same extents.
  package func identicalIndices(of load: ScalarID, in extents: [Int]) -> Int {
    let row = program.scalars[load]
    let source = program.type(of: Source(payload: row.payload)).extents
    var count = 0
    while count < extents.count, count < source.count, extents[count] == source[count] {
      let index = program.scalars[row.operand(count)]
      let isAxis = index.operation == .axis && index.payload == Int64(count)
      let isOnlyElement = extents[count] == 1 && index.operation == .constant && index.payload == 0
      guard isAxis || isOnlyElement else { break }
      count += 1
    }
    return count
  }

  /// Whether a load reads the element whose indices are the axes of its own stage.
  package func isIdentity(_ load: ScalarID, in extents: [Int]) -> Bool {
    let source = program.type(of: Source(payload: program.scalars[load].payload)).extents
    return source == extents && identicalIndices(of: load, in: extents) == extents.count
  }

  // MARK: Collapsing

  /// Puts neighbouring axes together that every load of the stages passes through as if they were one, and that nothing else
  /// uses. Returns the runs of axes, outermost first.
  package func collapsed(_ axes: Range<Int>, of stages: [Stage]) -> [Range<Int>] {
    guard let first = stages.first, !axes.isEmpty else { return [] }
    let extents = domain(of: first)
    let roots = stages.flatMap { $0.rootsOverAxes }
    let offsets = loads(roots).map { offset(of: $0) }
    let inValues = axesInValues(roots)
    var runs: [Range<Int>] = [axes.lowerBound..<axes.lowerBound + 1]
    for axis in axes.dropFirst() {
      let isFree = inValues & (0b11 << UInt64((axis - 1) & 63)) == 0
      let isOne = extents[axis] == 1 || extents[axis - 1] == 1
      let isUniform = offsets.allSatisfy { offset in
        guard let outer = stride(of: offset, along: axis - 1), let inner = stride(of: offset, along: axis) else {
          return false
        }
        return isOne || outer == inner &* Int64(extents[axis])
      }
      if isFree, isUniform {
        runs[runs.count - 1] = runs[runs.count - 1].lowerBound..<axis + 1
      } else {
        runs.append(axis..<axis + 1)
      }
    }
    return runs
  }
}

extension Stage {
  /// Every scalar of the stage.
  package var roots: [ScalarID] {
    switch kind {
    case .map(let value): [value]
    case .reduce(let reduction): reduction.initial + reduction.step + reduction.merge + [reduction.finish]
    case .scan(let scan): [scan.initial, scan.step]
    case .scatter(let scatter): [scatter.initial] + scatter.position + [scatter.combine]
    }
  }

  /// The scalars that see the axes of the result, and of a reduction.
  package var rootsOverAxes: [ScalarID] {
    switch kind {
    case .map(let value): [value]
    case .reduce(let reduction): reduction.step + [reduction.finish]
    case .scan(let scan): [scan.step]
    case .scatter(let scatter): scatter.position + [scatter.combine]
    }
  }
}

package func multipliedSaturating(_ x: Int, _ y: Int) -> Int {
  let (product, overflow) = x.multipliedReportingOverflow(by: y)
  return overflow ? .max : product
}
