import MartletLoopIR

extension FunctionEmitter {
  /// Emits statements in order, at the innermost level.
  func emit(_ statements: [NestStatement]) {
    for statement in statements {
      switch statement {
      case .loop(let loop): emit(loop)
      case .store(let buffer, let index, let value, let condition):
        store(buffer, index, value, condition)
        forget(.buffer(buffer))
      case .assign(let register, let value): assign(register, value)
      case .reduce(let reduction): emit(reduction)
      }
    }
  }

  private func emit(_ nested: NestLoop) {
    switch nested.mark {
    case .serial:
      serial(nested.axis, nested.extent, mutating: NestFacts.mutated(by: nested.body)) { _ in
        emit(nested.body)
        return []
      }
    case .unrolled:
      for i in 0..<nested.extent {
        scope {
          bind(nested.axis, to: i)
          emit(nested.body)
        }
      }
    case .vector(let lanes): vector(nested, lanes)
    }
  }

  /// A loop over `0 ..< extent` with values carried from iteration to iteration.
  @discardableResult
  func serial(
    _ axis: Int, _ extent: Int, mutating mutated: ResourceSet, carrying initial: [IRValue] = [],
    _ body: ([IRValue]) -> [IRValue]
  ) -> [IRValue] {
    let end = count(along: axis)
    if end == nil, extent <= 0 { return initial }
    if end == nil, extent == 1 {
      return scope {
        bind(axis, to: 0)
        return body(initial)
      }
    }
    return loop(
      from: ir.int(0), to: end ?? ir.int(extent), step: 1, mutating: mutated, carrying: initial
    ) { number, carried in
      axes[axis] = RowValue(value: number, form: .uniform, level: level)
      return body(carried)
    }
  }

  /// Whole groups of lanes in a loop, then the rest as one group in which only some lanes count.
  private func vector(_ nested: NestLoop, _ width: Int) {
    precondition(lanes == 1, "a vector loop stands inside another")
    if let count = count(along: nested.axis) {
      vector(nested, width, over: stretches(of: count, by: width))
      return
    }
    let whole = nested.extent / width * width
    let rest = nested.extent - whole
    lanes = width
    defer { lanes = 1 }
    if whole > width {
      _ = loop(from: ir.int(0), to: ir.int(whole), step: width, mutating: NestFacts.mutated(by: nested.body)) {
        number, _ in
        bind(nested.axis, toLanesFrom: number, divisor: Int64(width))
        emit(nested.body)
        return []
      }
    } else if whole == width {
      scope {
        bind(nested.axis, toLanesFrom: ir.int(0), divisor: 0)
        emit(nested.body)
      }
    }
    if rest > 0 {
      scope {
        partialLanes = rest
        defer { partialLanes = nil }
        bind(nested.axis, toLanesFrom: ir.int(whole), divisor: Int64(whole))
        emit(nested.body)
      }
    }
  }

  /// The axis is a known number in the innermost level.
  func bind(_ axis: Int, to number: Int) {
    axes[axis] = RowValue(value: ir.int(number), form: .uniform, level: level, divisor: Int64(number))
  }

  /// The axis counts up from `first`, lane by lane.
  func bind(_ axis: Int, toLanesFrom first: IRValue, divisor: Int64) {
    axes[axis] = RowValue(
      value: first, form: lanes == 1 ? .uniform : .affine(stride: 1), level: level, divisor: divisor)
  }

  private func assign(_ register: Int, _ id: ScalarID) {
    let value = vector(id)
    let address = registerAddress(register, lanes: lanes)
    emit(at: level) { ir.store(value, address, alignment: 1) }
    assignments[register] = (lanes, level)
    forget(.register(register))
  }

  /// The current value of a register.
  func read(register: Int, _ resources: ResourceSet) -> RowValue {
    guard let assignment = assignments[register] else { preconditionFailure("register \(register) is read first") }
    let level = max(outermostLevel(reading: resources), min(assignment.level, level))
    let address = registerAddress(register, lanes: assignment.lanes)
    let value = emit(at: level) {
      ir.load(ir.lanes(type(nest.registers[register]), assignment.lanes), address, alignment: 1)
    }
    return RowValue(value: value, form: assignment.lanes == 1 ? .uniform : .vector, level: level)
  }
}
