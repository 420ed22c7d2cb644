import MartletLoopIR
import MartletTensors

/// What is known of a nest's rows before any code is emitted.
struct NestFacts {
  /// For each row, the buffers and registers that change during the nest and that its value depends on.
  private(set) var resources: [ResourceSet] = []
  /// For each row of an integer type, bounds of its value.
  private(set) var ranges: [ScalarRange] = []

  init(_ parametric: ParametricNest) {
    let nest = parametric.nest
    var written = ResourceSet()
    for phase in nest.phases { written.formUnion(Self.mutated(by: phase.body)) }
    let extents = Self.extents(of: parametric)
    for row in nest.scalars.rows {
      var used = ResourceSet()
      for operand in row.operands + (row.condition == .none ? [] : [row.condition]) {
        used.formUnion(resources[Int(operand.index)])
      }
      if row.operation == .load {
        let buffer = ResourceSet.buffer(Int(row.payload))
        if written.intersects(buffer) { used.formUnion(buffer) }
      }
      if row.operation == .register { used.formUnion(.register(Int(row.payload))) }
      resources.append(used)
      if row.operation == .parameter, row.payload >= Int64(ParametricNest.firstParameter),
        !parametric.patterns.contains(Int(row.payload))
      {
        ranges.append(ScalarRange(2, Int64(ParametricNest.largest)))
        continue
      }
      ranges.append(
        ScalarRange.of(
          row, operands: row.operands.map { ranges[Int($0.index)] },
          operandTypes: row.operands.map { nest.scalars.type(of: $0) }, axisExtent: { extents[$0] }))
    }
  }

  /// The buffers and registers that statements change.
  static func mutated(by statements: [NestStatement]) -> ResourceSet {
    var set = ResourceSet()
    for statement in statements {
      switch statement {
      case .loop(let loop): set.formUnion(mutated(by: loop.body))
      case .store(let buffer, _, _, _): set.formUnion(.buffer(buffer))
      case .assign(let register, _): set.formUnion(.register(register))
      case .reduce(let reduction): for register in reduction.registers { set.formUnion(.register(register)) }
      }
    }
    return set
  }

  /// The number of values that each axis takes; lanes beyond the last iteration count.
  private static func extents(of parametric: ParametricNest) -> [Int: Int] {
    var extents: [Int: Int] = [:]
    func note(_ axis: Int, _ extent: Int, lanes: Int = 1) {
      let extent = parametric.extents[axis] == nil ? extent : ParametricNest.largest
      extents[axis] = max(extents[axis] ?? 1, (extent + lanes - 1) / lanes * lanes)
    }
    func visit(_ statements: [NestStatement]) {
      for statement in statements {
        switch statement {
        case .loop(let loop):
          let lanes = if case .vector(let lanes) = loop.mark { lanes } else { 1 }
          note(loop.axis, loop.extent, lanes: lanes)
          visit(loop.body)
        case .reduce(let reduction):
          for loop in reduction.loops { note(loop.axis, loop.extent, lanes: reduction.lanes) }
        case .store, .assign: break
        }
      }
    }
    for (phase, extent) in zip(parametric.nest.phases, parametric.phaseExtents) {
      note(phase.axis, extent)
      visit(phase.body)
    }
    return extents
  }
}
