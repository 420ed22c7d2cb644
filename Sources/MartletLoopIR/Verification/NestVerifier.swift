import MartletTensors

extension Nest {
  /// Checks the invariants of a nest:
  ///
  /// - N1: The scalar rows are well formed (R1 to R5).
  /// - N2: A load has one operand, names a buffer, and has its element type.
  /// - N3: Every loop has an axis of its own, and a scalar uses only axes of loops around it.
  /// - N4: Registers exist, have the type of what is assigned, and are assigned before they are read.
  /// - N5: Vector loops do not nest, and reductions inside one have one lane.
  /// - N6: A store is to a buffer that is marked as written, at an int64 index, of its element type.
  /// - N7: States occur only in reductions, with the types of the registers; others only in `merge`.
  /// - N8: Buffers lie where they can: scratch inside `scratchBytes` at multiples of 64, slots from 0 on.
  /// - N9: Extents and grains are not negative, lanes and interleaves powers of two (a vector loop may have any lanes), and
  ///   blocks positive, of whole groups of states.
  ///
  /// - Throws: The first violation.
  public func verify() throws(KernelViolation) {
    do { try ScalarVerifier.verify(scalars) } catch { throw KernelViolation("N1", error.description) }
    for (number, buffer) in buffers.enumerated() {
      let fits: Bool =
        switch buffer.place {
        case .slot(let k): k >= 0
        case .scratch(let offset):
          offset >= 0 && offset % 64 == 0 && offset + buffer.elementCount * buffer.elementType.byteWidth <= scratchBytes
        }
      guard fits, buffer.elementCount >= 0 else { throw KernelViolation("N8", "buffer \(number) lies nowhere") }
    }
    var verifier = NestVerifier(nest: self)
    for phase in phases { try verifier.verify(phase) }
  }
}

private struct NestVerifier {
  let nest: Nest
  private var seen = Set<Int>()
  private var scope = Set<Int>()
  private var assigned = Set<Int>()

  init(nest: Nest) { self.nest = nest }

  mutating func verify(_ phase: NestPhase) throws(KernelViolation) {
    guard phase.extent >= 0, phase.grain >= 1 else { throw KernelViolation("N9", "phase over \(phase.extent)") }
    try enter(phase.axis)
    assigned = []
    try verify(phase.body, isVector: false)
    scope.remove(phase.axis)
  }

  private mutating func enter(_ axis: Int) throws(KernelViolation) {
    guard seen.insert(axis).inserted else { throw KernelViolation("N3", "two loops have the axis \(axis)") }
    scope.insert(axis)
  }

  private mutating func verify(_ statements: [NestStatement], isVector: Bool) throws(KernelViolation) {
    for statement in statements {
      switch statement {
      case .loop(let loop):
        guard loop.extent >= 0 else { throw KernelViolation("N9", "loop over \(loop.extent)") }
        var isVectorInside = isVector
        if case .vector(let lanes) = loop.mark {
          guard !isVector else { throw KernelViolation("N5", "vector loop \(loop.axis) is inside another") }
          guard lanes > 0 else { throw KernelViolation("N9", "vector loop of \(lanes) lanes") }
          isVectorInside = true
        }
        try enter(loop.axis)
        try verify(loop.body, isVector: isVectorInside)
        scope.remove(loop.axis)
      case .store(let buffer, let index, let value, let condition):
        try verify([index, value, condition])
        guard nest.buffers.indices.contains(buffer), nest.buffers[buffer].isWritten,
          nest.scalars.type(of: index) == .int64,
          nest.scalars.type(of: value) == nest.buffers[buffer].elementType,
          condition == .none || nest.scalars.type(of: condition) == .bool
        else { throw KernelViolation("N6", "store to buffer \(buffer)") }
      case .assign(let register, let value):
        try verify([value])
        try assign(register, nest.scalars.type(of: value))
      case .reduce(let reduction):
        try verify(reduction, isVector: isVector)
      }
    }
  }

  private mutating func assign(_ register: Int, _ type: ElementType) throws(KernelViolation) {
    guard nest.registers.indices.contains(register), nest.registers[register] == type else {
      throw KernelViolation("N4", "register \(register) is assigned a value of type \(type)")
    }
    assigned.insert(register)
  }

  private mutating func verify(_ reduction: NestReduction, isVector: Bool) throws(KernelViolation) {
    let types = reduction.initial.map { nest.scalars.type(of: $0) }
    let isPowers = [reduction.lanes, reduction.interleave].allSatisfy { $0 > 0 && $0 & ($0 - 1) == 0 }
    guard isPowers, reduction.loops.allSatisfy({ $0.extent >= 0 }) else {
      throw KernelViolation("N9", "reduction of \(reduction.lanes) × \(reduction.interleave) lanes")
    }
    for (number, loop) in reduction.loops.enumerated() {
      let unit = number + 1 == reduction.loops.count ? reduction.lanes * reduction.interleave : 1
      guard loop.block.map({ $0 > 0 && $0 % unit == 0 }) ?? true else {
        throw KernelViolation("N9", "reduction in blocks of \(loop.block ?? 0)")
      }
    }
    guard !isVector || reduction.lanes * reduction.interleave == 1 else {
      throw KernelViolation("N5", "a reduction over lanes is inside a vector loop")
    }
    let components = reduction.registers.count
    guard components == types.count, reduction.step.count == components, reduction.merge.count == components,
      zip(reduction.step, types).allSatisfy({ nest.scalars.type(of: $0) == $1 }),
      zip(reduction.merge, types).allSatisfy({ nest.scalars.type(of: $0) == $1 })
    else { throw KernelViolation("N7", "the components of a reduction do not agree") }
    try verify(reduction.initial)
    for loop in reduction.loops { try enter(loop.axis) }
    try verify(reduction.step, states: types)
    for loop in reduction.loops { scope.remove(loop.axis) }
    try verify(reduction.merge, states: types, others: types)
    for (register, type) in zip(reduction.registers, types) { try assign(register, type) }
  }

  private func verify(_ roots: [ScalarID], states: [ElementType] = [], others: [ElementType] = [])
    throws(KernelViolation)
  {
    for id in nest.scalars.reachable(from: roots) {
      let row = nest.scalars[id]
      let payload = Int(row.payload)
      switch row.operation {
      case .axis where !scope.contains(payload): throw KernelViolation("N3", "axis \(payload) has no loop here")
      case .register:
        guard assigned.contains(payload), nest.registers[payload] == row.type else {
          throw KernelViolation("N4", "register \(payload) is read before it is assigned")
        }
      case .state where payload >= states.count || states[payload] != row.type:
        throw KernelViolation("N7", "state \(payload) of type \(row.type)")
      case .other where payload >= others.count || others[payload] != row.type:
        throw KernelViolation("N7", "other state \(payload) of type \(row.type)")
      case .load:
        guard nest.buffers.indices.contains(payload), nest.buffers[payload].elementType == row.type,
          row.operandCount == 1
        else { throw KernelViolation("N2", "a load of type \(row.type) from buffer \(payload)") }
      default: break
      }
    }
  }
}
