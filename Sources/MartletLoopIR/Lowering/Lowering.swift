import MartletTensors

/// Turns a program into a nest, as a schedule says. There is no other way to a nest.
///
/// Slots of the nest are the program's inputs, its outputs, and then temporaries: intermediates that one phase leaves for
/// another.
public func lower(
  _ program: StageProgram, _ schedule: Schedule, for machine: MachineShape = MachineShape(), name: String = "kernel"
) -> Nest {
  let lowering = Lowering(program.prepared(for: schedule), schedule, machine)
  lowering.run()
  return lowering.nest.nest(name: name, argumentCount: program.inputs.count + program.outputs.count)
}

/// The state of one lowering.
final class Lowering {
  let program: StageProgram
  let schedule: Schedule
  let machine: MachineShape
  let accesses: StageAccesses
  var nest = NestBuilder()
  /// For each stage, the buffers in slots that hold its result; the first is the one to read.
  private(set) var memory: [[Int]] = []

  init(_ program: StageProgram, _ schedule: Schedule, _ machine: MachineShape) {
    self.program = program
    self.schedule = schedule
    self.machine = machine
    accesses = StageAccesses(program)
  }

  func run() {
    for (number, input) in program.inputs.enumerated() { _ = nest.slot(number, input, isWritten: false) }
    memory = Array(repeating: [], count: program.stages.count)
    var copies: [(input: Int, buffer: Int)] = []
    for (number, output) in program.outputs.enumerated() {
      let buffer = nest.slot(
        program.inputs.count + number, program.type(of: output), isWritten: true,
        isStreamed: schedule.streamed.contains(number))
      switch output {
      case .stage(let stage): memory[stage].append(buffer)
      case .input(let input): copies.append((input, buffer))
      }
    }
    var slot = program.inputs.count + program.outputs.count
    for stage in accesses.stagesAcross(schedule.groups.map(\.stages)) where memory[stage].isEmpty {
      memory[stage] = [nest.slot(slot, program.stages[stage].result, isWritten: true)]
      slot += 1
    }
    for group in schedule.groups {
      let first = program.stages[group.stages.lowerBound]
      switch first.kind {
      case .scan(let scan): lower(scan, group.stages.lowerBound, group)
      case .scatter(let scatter): lower(scatter, group.stages.lowerBound, group)
      case .map, .reduce: GroupLowering(self, group).run()
      }
      nest.endScratch()
    }
    for (input, buffer) in copies { copy(input, to: buffer) }
  }

  /// A copy of an input that is also an output.
  private func copy(_ input: Int, to buffer: Int) {
    let count = program.inputs[input].elementCount
    if count == 0 { return }
    let (axis, _) = nest.axis(1)
    let (inner, index) = nest.axis(count)
    let lanes = max(1, machine.vectorBytes / program.inputs[input].elementType.byteWidth)
    let value = nest.load(input, at: index)
    let store = NestStatement.store(buffer: buffer, index: index.id, value: value.id, condition: .none)
    nest.phase(axis, 1, grain: 1, [.loop(NestLoop(axis: inner, extent: count, mark: .vector(lanes), body: [store]))])
  }

  // MARK: Scalars

  /// The offset of an element in a dense array.
  func offset(_ indices: [Scalar], _ extents: [Int]) -> Scalar {
    nest.scalars.sum(zip(indices, rowMajorStrides(extents)).map { (scalar: $0, factor: $1) })
  }

  /// Copies rows into the nest; `intermediate` says what stands for loads of stages that are not in memory.
  func translate(
    _ roots: [ScalarID], axes: [Scalar], states: [Scalar] = [], others: [Scalar] = [],
    intermediate: (Int, [Scalar], Scalar?) -> Scalar? = { _, _, _ in nil }
  ) -> [Scalar] {
    // The builder is taken out while rows are added, for the closure needs the lowering as a whole.
    var scalars = nest.scalars
    nest.scalars = ScalarBuilder()
    defer { nest.scalars = scalars }
    return scalars.copy(roots, from: program.scalars, axes: axes, states: states, others: others) {
      b, row, indices, condition in
      swap(&b, &nest.scalars)
      defer { swap(&b, &nest.scalars) }
      let source = Source(payload: row.payload)
      if case .stage(let stage) = source, let value = intermediate(stage, indices, condition) { return value }
      let buffer: Int =
        switch source {
        case .input(let i): i
        case .stage(let i): memory[i][0]
        }
      return nest.load(buffer, at: offset(indices, program.type(of: source).extents), if: condition)
    }
  }

  /// A value where a condition is true, else zero: what a load of it gives.
  func guarded(_ value: Scalar, _ condition: Scalar?) -> Scalar {
    guard let condition else { return value }
    return nest.scalars.select(condition, value, nest.scalars.constant(bits: 0, value.type))
  }

  /// A loop, or just its body where there is one iteration.
  func loop(_ axis: Int, _ extent: Int, _ mark: NestLoop.Mark, _ body: [NestStatement]) -> [NestStatement] {
    if body.isEmpty || extent == 0 { return [] }
    return extent == 1 ? body : [.loop(NestLoop(axis: axis, extent: extent, mark: mark, body: body))]
  }
}
