import MartletTensors

extension Nest {
  /// Runs the nest as its schedule says, groups of lanes at once and statement after statement, and returns the slots.
  ///
  /// Floating-point states and what is computed from them inside a reduction are kept in double precision.
  ///
  /// - Parameters:
  ///   - slots: Tensors for the slots 0 ..< argumentCount with the buffers' element types and counts; written ones are
  ///     copied first.
  ///   - parameters: The run-time parameters by number.
  ///   - aliases: For a slot, another whose memory it shares, as a planner that reuses memory would have it.
  ///   - backward: Runs the iterations of each phase from last to first, which must not make a difference.
  /// - Throws: ``InterpretationError/badIndex(code:index:)`` where a `checkIndex` failed.
  public func interpret(
    slots: [Tensor], parameters: [Int64] = [], aliases: [Int: Int] = [:], backward: Bool = false
  ) throws(InterpretationError) -> [Tensor] {
    var slots = slots
    guard slots.count == argumentCount else {
      throw .arguments("\(slots.count) slots were given where \(argumentCount) are needed")
    }
    for temporary in temporaries {
      slots.append(Tensor(zeros: temporary.elementType, shape: [temporary.elementCount]))
    }
    for buffer in buffers {
      guard case .slot(let k) = buffer.place else { continue }
      guard k < slots.count, slots[k].elementType == buffer.elementType, slots[k].elementCount == buffer.elementCount
      else { throw .arguments("slot \(k) does not fit \(buffer.elementType)[\(buffer.elementCount)]") }
      if buffer.isWritten { slots[k].withUnsafeMutableBytes { _ in } }
    }
    for (slot, other) in aliases.sorted(by: { $0.key < $1.key }) {
      slots[slot] = slots[slot].sharing(copyOf: slots[other])
      slots[other] = Tensor(
        elementType: slots[other].elementType, shape: slots[other].shape, storage: slots[slot].storage)
    }
    let interpreter = NestInterpreter(nest: self, slots: slots, parameters: parameters)
    interpreter.run(backward: backward)
    try interpreter.status.check()
    return Array(slots.prefix(argumentCount))
  }
}

extension Tensor {
  /// A tensor of this type and shape over fresh memory that holds the bytes of another.
  fileprivate func sharing(copyOf other: Tensor) -> Tensor {
    var copy = Tensor(uninitialized: elementType, shape: shape)
    copy.withUnsafeMutableBytes { target in other.withUnsafeBytes { target.copyMemory(from: $0) } }
    return copy
  }
}

private final class NestInterpreter {
  private indirect enum Code {
    case loop(NestLoop, [Code])
    case store(LaneProgram, ElementBuffer, index: ScalarID, value: ScalarID, condition: ScalarID)
    case assign(LaneProgram, register: Int, value: ScalarID)
    case reduce(NestReduction, initial: LaneProgram, step: LaneProgram, merge: LaneProgram)
  }

  let nest: Nest
  let status = InterpretationStatus()
  private let slots: [Tensor]
  private let scratch: LaneMemory
  private let environment: LaneEnvironment

  init(nest: Nest, slots: [Tensor], parameters: [Int64]) {
    self.nest = nest
    self.slots = slots
    scratch = LaneMemory(byteCount: nest.scratchBytes)
    var shape = Shape()
    for phase in nest.phases {
      shape.axes = max(shape.axes, phase.axis + 1)
      shape.visit(phase.body)
    }
    let needed = nest.scalars.rows.lazy.filter { $0.operation == .parameter }.map { Int($0.payload) + 1 }.max() ?? 0
    let missing = max(0, needed - parameters.count)
    environment = LaneEnvironment(
      width: shape.lanes, axes: shape.axes, registers: nest.registers.count, states: shape.states,
      parameters: parameters + [Int64](repeating: 0, count: missing))
  }

  /// What the environment must hold.
  private struct Shape {
    var lanes = 1
    var axes = 0
    var states = 0

    mutating func visit(_ statements: [NestStatement]) {
      for statement in statements {
        switch statement {
        case .loop(let loop):
          axes = max(axes, loop.axis + 1)
          if case .vector(let count) = loop.mark { lanes = max(lanes, count) }
          visit(loop.body)
        case .reduce(let reduction):
          for loop in reduction.loops { axes = max(axes, loop.axis + 1) }
          lanes = max(lanes, reduction.lanes)
          states = max(states, reduction.registers.count)
        case .store, .assign: break
        }
      }
    }
  }

  private func buffer(_ payload: Int64) -> ElementBuffer {
    let buffer = nest.buffers[Int(payload)]
    let bytes: UnsafeMutableRawPointer
    switch buffer.place {
    case .slot(let k): bytes = slots[k].storage.bytes
    case .scratch(let offset): bytes = scratch.bytes + offset
    }
    return ElementBuffer(name: "buffer \(payload)", bytes: bytes, buffer.elementType, buffer.elementCount)
  }

  private func compile(_ roots: [ScalarID]) -> LaneProgram {
    LaneProgram(nest.scalars, roots: roots, environment: environment, status: status, buffer: buffer)
  }

  private func compile(_ statements: [NestStatement]) -> [Code] {
    statements.map { statement in
      switch statement {
      case .loop(let loop): .loop(loop, compile(loop.body))
      case .store(let target, let index, let value, let condition):
        .store(
          compile([index, value, condition]), buffer(Int64(target)), index: index, value: value, condition: condition)
      case .assign(let register, let value): .assign(compile([value]), register: register, value: value)
      case .reduce(let reduction):
        .reduce(
          reduction, initial: compile(reduction.initial), step: compile(reduction.step), merge: compile(reduction.merge)
        )
      }
    }
  }

  func run(backward: Bool) {
    for phase in nest.phases {
      let code = compile(phase.body)
      for iteration in 0..<phase.extent {
        environment.setAxis(
          phase.axis, to: backward ? phase.extent - 1 - iteration : iteration, count: environment.width)
        run(code, count: 1)
      }
    }
  }

  /// Runs statements with `count` lanes in a vector loop. Outside one, count is 1, and every lane holds what lane 0 does.
  private func run(_ code: [Code], count: Int) {
    for statement in code {
      switch statement {
      case .loop(let loop, let body): run(loop, body, count: count)
      case .store(let program, let target, let index, let value, let condition):
        program.runAll(count: count)
        store(program, target, index, value, condition, count: count)
      case .assign(let program, let register, let value):
        program.runAll(count: count)
        assign(environment.register(register), program.lanes(of: value), count: count)
      case .reduce(let reduction, let initial, let step, let merge):
        reduce(reduction, initial, step, merge, count: count)
      }
    }
  }

  private func assign(_ target: LaneEnvironment.Lanes, _ values: LaneEnvironment.Lanes, count: Int) {
    if count == 1 {
      target.update(repeating: values[0], count: environment.width)
    } else if target != values {
      target.update(from: values, count: count)
    }
  }

  private func store(
    _ program: LaneProgram, _ target: ElementBuffer, _ index: ScalarID, _ value: ScalarID, _ condition: ScalarID,
    count: Int
  ) {
    let offsets = program.lanes(of: index)
    let values = program.lanes(of: value)
    let conditions = condition == .none ? nil : program.lanes(of: condition)
    for lane in 0..<count where conditions.map({ $0[lane] != 0 }) ?? true {
      let offset = Int64(bitPattern: offsets[lane])
      if offset < 0 || offset >= target.elementCount {
        status.record(.outOfBounds(name: target.name, offset: offset, elementCount: target.elementCount))
      } else {
        target.write(values[lane], at: Int(offset))
      }
    }
  }

  private func run(_ loop: NestLoop, _ body: [Code], count: Int) {
    guard case .vector(let lanes) = loop.mark else {
      for iteration in 0..<loop.extent {
        environment.setAxis(loop.axis, to: iteration, count: environment.width)
        run(body, count: count)
      }
      return
    }
    precondition(count == 1, "vector loops do not nest")
    var first = 0
    while first < loop.extent {
      let group = loop.extent - first >= lanes ? lanes : 1
      for lane in 0..<environment.width {
        environment.axis(loop.axis)[lane] = UInt64(first + (group > 1 ? min(lane, group - 1) : 0))
      }
      run(body, count: group)
      first += group
    }
  }

  private func reduce(
    _ reduction: NestReduction, _ initial: LaneProgram, _ step: LaneProgram, _ merge: LaneProgram, count: Int
  ) {
    let components = reduction.registers.count
    let total = reduction.lanes * reduction.interleave
    precondition(total == 1 || count == 1, "a reduction over lanes inside a vector loop")
    initial.runAll(count: count)
    // states[component][state number · count + lane]
    let start = reduction.initial.map { id -> [UInt64] in
      let values = initial.lanes(of: id)
      return count == 1 ? [UInt64](repeating: values[0], count: total) : (0..<count).map { values[$0] }
    }
    var states = start
    /// Runs a program on lanes of states and writes the next ones.
    func apply(_ program: LaneProgram, _ roots: [ScalarID], lanes: Range<Int>, others: [[UInt64]]? = nil) {
      for component in 0..<components {
        for (lane, place) in lanes.enumerated() {
          environment.state(component)[lane] = states[component][place]
          if let others { environment.other(component)[lane] = others[component][place] }
        }
      }
      program.runAll(count: lanes.count)
      let next = roots.map { root in (0..<lanes.count).map { program.lanes(of: root)[$0] } }
      for component in 0..<components { states[component].replaceSubrange(lanes, with: next[component]) }
    }
    /// One iteration of a loop; a group of lanes in the innermost one.
    func iterate(_ number: Int, _ k: Int, _ group: Int) {
      let loop = reduction.loops[number]
      for lane in 0..<environment.width {
        environment.axis(loop.axis)[lane] = UInt64(group == 1 ? k : k + min(lane, group - 1))
      }
      if number + 1 < reduction.loops.count { return run(number + 1) }
      let first = total == 1 ? 0 : k % total
      apply(step, reduction.step, lanes: first..<first + (total == 1 ? count : group))
    }
    func run(_ number: Int) {
      let loop = reduction.loops[number]
      let isInnermost = number + 1 == reduction.loops.count
      let size = isInnermost ? reduction.lanes : 1
      let whole = isInnermost ? loop.extent / total * total : loop.extent
      var k = 0
      while k < loop.extent {
        guard let block = loop.block, k % block == 0, k < whole, block < whole else {
          iterate(number, k, min(size, loop.extent - k))
          k += size
          continue
        }
        let around = states
        states = start
        let end = min(k + block, whole)
        while k < end {
          iterate(number, k, size)
          k += size
        }
        let own = states
        states = around
        for first in stride(from: 0, to: states[0].count, by: max(size, count)) {
          apply(merge, reduction.merge, lanes: first..<first + max(size, count), others: own)
        }
      }
    }
    if reduction.loops.isEmpty {
      apply(step, reduction.step, lanes: 0..<count)
    } else {
      run(0)
    }
    var remaining = total
    while remaining > 1 {
      let half = (remaining + 1) / 2
      for i in 0..<remaining - half {
        for component in 0..<components {
          environment.state(component)[0] = states[component][i]
          environment.other(component)[0] = states[component][i + half]
        }
        merge.runAll(count: 1)
        for component in 0..<components { states[component][i] = merge.lanes(of: reduction.merge[component])[0] }
      }
      remaining = half
    }
    for component in 0..<components {
      states[component].withUnsafeMutableBufferPointer {
        assign(environment.register(reduction.registers[component]), $0.baseAddress!, count: count)
      }
    }
  }
}

/// Zeroed memory, aligned as a worker's scratch is.
private final class LaneMemory {
  let bytes: UnsafeMutableRawPointer

  init(byteCount: Int) {
    bytes = .allocate(byteCount: max(64, byteCount), alignment: 64)
    bytes.initializeMemory(as: UInt8.self, repeating: 0, count: max(64, byteCount))
  }

  deinit { bytes.deallocate() }
}
