import MartletTensors

extension StageProgram {
  /// Computes the outputs as the stages define them: the oracle for every schedule and code generator.
  ///
  /// Floating-point states of reductions, scans and scatters are kept in double precision.
  ///
  /// - Parameters:
  ///   - inputs: One tensor for each input, of its element type and with as many elements.
  ///   - parameters: The run-time parameters by number.
  /// - Throws: ``InterpretationError/badIndex(code:index:)`` where a `checkIndex` failed.
  public func interpret(inputs: [Tensor], parameters: [Int64] = []) throws(InterpretationError) -> [Tensor] {
    guard inputs.count == self.inputs.count else {
      throw .arguments("\(inputs.count) inputs were given where \(self.inputs.count) are needed")
    }
    for (i, (tensor, type)) in zip(inputs, self.inputs).enumerated() {
      guard tensor.elementType == type.elementType, tensor.elementCount == type.elementCount else {
        throw .arguments("input \(i) is \(tensor.elementType)\(tensor.shape), not \(type.elementType)\(type.extents)")
      }
    }
    let interpreter = StageInterpreter(program: self, inputs: inputs, parameters: parameters)
    for number in stages.indices { interpreter.run(number) }
    try interpreter.status.check()
    return outputs.map { interpreter.tensor(of: $0) }
  }
}

/// Runs the stages of a program one after the other.
private final class StageInterpreter {
  let program: StageProgram
  let inputs: [Tensor]
  let parameters: [Int64]
  let status = InterpretationStatus()
  private var results: [Tensor] = []

  init(program: StageProgram, inputs: [Tensor], parameters: [Int64]) {
    self.program = program
    self.inputs = inputs
    let needed = program.scalars.rows.lazy.filter { $0.operation == .parameter }.map { Int($0.payload) + 1 }.max() ?? 0
    self.parameters =
      parameters.count >= needed
      ? parameters : parameters + [Int64](repeating: 0, count: needed - parameters.count)
  }

  func tensor(of source: Source) -> Tensor {
    switch source {
    case .input(let i): inputs[i].reshaped(program.inputs[i].extents)
    case .stage(let i): results[i]
    }
  }

  private func buffer(_ payload: Int64) -> ElementBuffer {
    let source = Source(payload: payload)
    let type = program.type(of: source)
    let tensor = tensor(of: source)
    return ElementBuffer(
      name: "\(source)", bytes: tensor.storage.bytes, type.elementType, type.elementCount,
      strides: rowMajorStrides(type.extents))
  }

  func run(_ number: Int) {
    let stage = program.stages[number]
    let result = Tensor(uninitialized: stage.result.elementType, shape: stage.extents)
    let target = ElementBuffer(
      name: stage.name, bytes: result.storage.bytes, stage.result.elementType, stage.result.elementCount)
    switch stage.kind {
    case .map(let value): map(value, stage.extents, target)
    case .reduce(let reduction): reduce(reduction, stage.extents, target)
    case .scan(let scan): self.scan(scan, stage.extents, target)
    case .scatter(let scatter): self.scatter(scatter, stage.extents, target)
    }
    results.append(result)
  }

  private func width(_ roots: [ScalarID], _ count: Int) -> Int {
    let rows = program.scalars.reachable(from: roots).count
    return max(1, min(count, max(16, min(256, 65_536 / max(1, rows)))))
  }

  /// Runs `body` for blocks of at most `width` index tuples of a domain, whose axes it sets; `axes[i]` is the number of
  /// the domain's axis i.
  private func forBlocks(
    _ extents: [Int], axes: [Int], _ environment: LaneEnvironment, _ body: (_ first: Int, _ count: Int) -> Void
  ) {
    let total = extents.reduce(1, *)
    var odometer = Odometer(extents)
    let lanes = axes.map { environment.axis($0) }
    var first = 0
    while first < total {
      let count = min(environment.width, total - first)
      for lane in 0..<count {
        for (axis, target) in lanes.enumerated() { target[lane] = UInt64(odometer.indices[axis]) }
        odometer.advance()
      }
      body(first, count)
      first += count
    }
  }

  private func map(_ value: ScalarID, _ extents: [Int], _ target: ElementBuffer) {
    let environment = LaneEnvironment(
      width: width([value], target.elementCount), axes: extents.count, parameters: parameters)
    let lanes = LaneProgram(
      program.scalars, roots: [value], environment: environment, status: status, buffer: buffer)
    forBlocks(extents, axes: Array(extents.indices), environment) { first, count in
      lanes.runAll(count: count)
      let values = lanes.lanes(of: value)
      for lane in 0..<count { target.write(values[lane], at: first + lane) }
    }
  }

  private func reduce(_ reduction: Reduction, _ extents: [Int], _ target: ElementBuffer) {
    let rank = extents.count
    let roots = reduction.initial + reduction.step + [reduction.finish]
    let environment = LaneEnvironment(
      width: width(roots, target.elementCount), axes: rank + reduction.extents.count,
      states: reduction.initial.count, parameters: parameters)
    let start = LaneProgram(
      program.scalars, roots: reduction.initial, environment: environment, status: status, buffer: buffer)
    let step = LaneProgram(
      program.scalars, roots: reduction.step, environment: environment, status: status,
      isVarying: {
        $0.operation == .state || $0.operation == .other || ($0.operation == .axis && Int($0.payload) >= rank)
      }, buffer: buffer)
    let finish = LaneProgram(
      program.scalars, roots: [reduction.finish], environment: environment, status: status, buffer: buffer)
    let iterations = reduction.extents.reduce(1, *)
    forBlocks(extents, axes: Array(0..<rank), environment) { first, count in
      start.runAll(count: count)
      assign(reduction.initial.map { start.lanes(of: $0) }, environment, 0, count)
      // Without a step nothing is read, wherever it would lie.
      if iterations > 0 { step.runFixed(count: count) }
      var odometer = Odometer(reduction.extents)
      for _ in 0..<iterations {
        for (axis, index) in odometer.indices.enumerated() { environment.setAxis(rank + axis, to: index, count: count) }
        step.runVarying(count: count)
        assign(reduction.step.map { step.lanes(of: $0) }, environment, 0, count)
        odometer.advance()
      }
      finish.runAll(count: count)
      let values = finish.lanes(of: reduction.finish)
      for lane in 0..<count { target.write(values[lane], at: first + lane) }
    }
  }

  /// All components of the state at once.
  private func assign(_ values: [LaneEnvironment.Lanes], _ environment: LaneEnvironment, _ first: Int, _ count: Int) {
    if values.count == 1 {
      if values[0] != environment.state(0) {
        (environment.state(0) + first).update(from: values[0] + first, count: count)
      }
      return
    }
    let copies = values.map { Array(UnsafeBufferPointer(start: $0 + first, count: count)) }
    for (component, copy) in copies.enumerated() {
      for lane in 0..<count { environment.state(component)[first + lane] = copy[lane] }
    }
  }

  private func scan(_ scan: Scan, _ extents: [Int], _ target: ElementBuffer) {
    var others = extents
    others.remove(at: scan.axis)
    let axes = extents.indices.filter { $0 != scan.axis }
    let strides = rowMajorStrides(extents)
    let environment = LaneEnvironment(
      width: width([scan.initial, scan.step], others.reduce(1, *)), axes: extents.count, states: 1,
      parameters: parameters)
    let start = LaneProgram(
      program.scalars, roots: [scan.initial], environment: environment, status: status, buffer: buffer)
    let step = LaneProgram(
      program.scalars, roots: [scan.step], environment: environment, status: status, buffer: buffer)
    forBlocks(others, axes: axes, environment) { _, count in
      func write(_ position: Int) {
        for lane in 0..<count {
          let offset = axes.reduce(position * strides[scan.axis]) {
            $0 + Int(environment.axis($1)[lane]) * strides[$1]
          }
          target.write(environment.state(0)[lane], at: offset)
        }
      }
      start.runAll(count: count)
      assign([start.lanes(of: scan.initial)], environment, 0, count)
      for i in 0..<extents[scan.axis] {
        let position = scan.isReversed ? extents[scan.axis] - 1 - i : i
        environment.setAxis(scan.axis, to: position, count: count)
        if scan.isExclusive { write(position) }
        step.runAll(count: count)
        assign([step.lanes(of: scan.step)], environment, 0, count)
        if !scan.isExclusive { write(position) }
      }
    }
  }

  private func scatter(_ scatter: Scatter, _ extents: [Int], _ target: ElementBuffer) {
    // The elements stay lanes until the end, so that sums of floats are kept in double precision.
    var elements = [UInt64](repeating: 0, count: target.elementCount)
    let initial = LaneEnvironment(
      width: width([scatter.initial], target.elementCount), axes: extents.count, parameters: parameters)
    let start = LaneProgram(
      program.scalars, roots: [scatter.initial], environment: initial, status: status, buffer: buffer)
    forBlocks(extents, axes: Array(extents.indices), initial) { first, count in
      start.runAll(count: count)
      let values = start.lanes(of: scatter.initial)
      for lane in 0..<count { elements[first + lane] = values[lane] }
    }
    let roots = scatter.position + [scatter.combine]
    let updates = LaneEnvironment(
      width: width(roots, scatter.updateExtents.reduce(1, *)), axes: scatter.updateExtents.count, states: 1,
      parameters: parameters)
    let update = LaneProgram(
      program.scalars, roots: roots, environment: updates, status: status,
      isVarying: { $0.operation == .state }, buffer: buffer)
    let strides = rowMajorStrides(extents)
    forBlocks(scatter.updateExtents, axes: Array(scatter.updateExtents.indices), updates) { _, count in
      update.runFixed(count: count)
      for lane in 0..<count {
        var offset = 0
        var isInside = true
        for (axis, id) in scatter.position.enumerated() {
          let index = Int64(bitPattern: update.lanes(of: id)[lane])
          isInside = isInside && index >= 0 && index < extents[axis]
          if isInside { offset += Int(index) * strides[axis] }
        }
        guard isInside else { continue }
        updates.state(0)[lane] = elements[offset]
        update.runVarying(first: lane, count: 1)
        elements[offset] = update.lanes(of: scatter.combine)[lane]
      }
    }
    for index in elements.indices { target.write(elements[index], at: index) }
  }
}
