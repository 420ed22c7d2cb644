import MartletTensors

/// Copies a nest with some of its numbers as parameters, and writes its structure into a key on the way.
///
/// Numbers count in the order of a walk over the statements. A constant is a number wherever it is used, so that two that are
/// equal by chance are not taken for one.
struct SkeletonWriter {
  private(set) var parametric: ParametricNest
  private(set) var numbers: [Int64] = []
  private let nest: Nest
  private let isParameter: (Int) -> Bool
  private var key = StructuralKey()
  private var parameterCount = 0
  private var scalars = ScalarArena()
  /// For each row that is no constant, its number in the key and its copy.
  private var copies: [ScalarID: (number: Int, id: ScalarID)] = [:]

  init(_ nest: Nest, isParameter: @escaping (Int) -> Bool) {
    self.nest = nest
    self.isParameter = isParameter
    parametric = ParametricNest(nest, key: key)
  }

  mutating func write() {
    key.append(byte: 6)  // The format's version, apart from those of other keys.
    key.append(nest.argumentCount)
    key.append(nest.buffers.count)
    for (number, buffer) in nest.buffers.enumerated() {
      switch buffer.place {
      case .slot(let k):
        key.append(byte: 0)
        key.append(k)
      case .scratch(let offset):
        key.append(byte: 1)
        parametric.offsets[number] = append(offset)
      }
      key.append(byte: buffer.elementType.rawValue)
      key.append(buffer.isWritten)
      key.append(buffer.isStreamed)
    }
    key.append(nest.registers.map { Int($0.rawValue) })
    key.append(nest.phases.count)
    var phases: [NestPhase] = []
    for var phase in nest.phases {
      key.append(phase.axis)
      phase.body = copy(phase.body)
      phases.append(phase)
    }
    parametric.nest.phases = phases
    parametric.nest.scalars = scalars
    parametric.key = key
  }

  // MARK: Numbers

  /// Appends an integer; returns its parameter if it is one.
  private mutating func append(_ value: Int) -> Int? {
    guard 2...ParametricNest.largest ~= value else {
      key.append(byte: 0)
      key.append(value)
      return nil
    }
    return appendNumber(Int64(value))
  }

  private mutating func appendNumber(_ value: Int64) -> Int? {
    let number = numbers.count
    numbers.append(value)
    guard isParameter(number) else {
      key.append(byte: 1)
      key.append(value)
      return nil
    }
    key.append(byte: 2)
    parameterCount += 1
    return ParametricNest.firstParameter + parameterCount - 1
  }

  /// Appends a constant; returns the row that stands for it.
  private mutating func append(_ row: ScalarRow, of user: ScalarOperation?) -> ScalarID {
    key.append(byte: row.type.rawValue)
    var parameter: Int?
    switch row.type {
    case .int64 where user != .power, .int32 where user != .power: parameter = append(Int(row.payload))
    case .float32 where Self.isNumber(Double(Float(bitPattern: UInt32(truncatingIfNeeded: row.payload))), of: user),
      .float64 where Self.isNumber(Double(bitPattern: UInt64(bitPattern: row.payload)), of: user):
      parameter = appendNumber(row.payload)
      if let parameter { parametric.patterns.insert(parameter) }
    default:
      key.append(byte: 0)
      key.append(row.payload)
    }
    guard let parameter else { return scalars.intern(row) }
    let value = scalars.intern(ScalarRow(.parameter, .int64, payload: Int64(parameter)))
    if row.type == .int64 { return value }
    if row.type == .float64 { return scalars.intern(ScalarRow(.bitcast, .float64, [value])) }
    let low = scalars.intern(ScalarRow(.cast, .int32, [value]))
    return row.type == .int32 ? low : scalars.intern(ScalarRow(.bitcast, .float32, [low]))
  }

  /// Whether a float that is an operand of an operation may be a parameter: its code must not depend on it.
  private static func isNumber(_ value: Double, of user: ScalarOperation?) -> Bool {
    switch user {
    case .add, .subtract, .multiply, .divide, .multiplyAdd: value != 0 && value.magnitude != 1
    default: false
    }
  }

  // MARK: Rows

  private mutating func copy(_ roots: [ScalarID]) -> [ScalarID] {
    for root in roots where root != .none && nest.scalars[root].operation != .constant { write(root) }
    key.append(roots.count)
    return roots.map { $0 == .none ? appendNone() : appendReference($0, of: nil) }
  }

  private mutating func appendNone() -> ScalarID {
    key.append(byte: 2)
    return .none
  }

  private mutating func appendReference(_ id: ScalarID, of user: ScalarOperation?) -> ScalarID {
    if let copy = copies[id] {
      key.append(byte: 0)
      key.append(copy.number)
      return copy.id
    }
    key.append(byte: 1)
    return append(nest.scalars[id], of: user)
  }

  /// Copies a row after those that it needs.
  private mutating func write(_ root: ScalarID) {
    var pending = [root]
    while let id = pending.last {
      if copies[id] != nil {
        pending.removeLast()
        continue
      }
      let row = nest.scalars[id]
      let open = (row.operands + (row.condition == .none ? [] : [row.condition])).filter {
        copies[$0] == nil && nest.scalars[$0].operation != .constant
      }
      guard open.isEmpty else {
        pending.append(contentsOf: open.reversed())
        continue
      }
      pending.removeLast()
      key.append(byte: row.operation.rawValue)
      key.append(byte: row.type.rawValue)
      key.append(row.payload)
      key.append(Int(row.operandCount))
      let operands = row.operands.map { appendReference($0, of: row.operation) }
      let condition = row.condition == .none ? appendNone() : appendReference(row.condition, of: nil)
      let copy = ScalarRow(row.operation, row.type, operands, payload: row.payload, condition: condition)
      copies[id] = (copies.count, scalars.intern(copy))
    }
  }

  // MARK: Statements

  private mutating func copy(_ statements: [NestStatement]) -> [NestStatement] {
    key.append(statements.count)
    var copies: [NestStatement] = []
    for statement in statements {
      switch statement {
      case .loop(let loop): copies.append(.loop(copy(loop)))
      case .store(let buffer, let index, let value, let condition):
        key.append(byte: 1)
        key.append(buffer)
        let roots = copy([index, value, condition])
        copies.append(.store(buffer: buffer, index: roots[0], value: roots[1], condition: roots[2]))
      case .assign(let register, let value):
        key.append(byte: 2)
        key.append(register)
        copies.append(.assign(register: register, value: copy([value])[0]))
      case .reduce(let reduction): copies.append(.reduce(copy(reduction)))
      }
    }
    return copies
  }

  private mutating func copy(_ loop: NestLoop) -> NestLoop {
    key.append(byte: 0)
    key.append(loop.axis)
    switch loop.mark {
    case .serial:
      key.append(-1)
      parametric.extents[loop.axis] = append(loop.extent)
    case .unrolled:
      key.append(-2)
      key.append(loop.extent)
    case .vector(let lanes):
      key.append(lanes)
      parametric.extents[loop.axis] = append(loop.extent)
    }
    var copied = loop
    copied.body = copy(loop.body)
    return copied
  }

  private mutating func copy(_ reduction: NestReduction) -> NestReduction {
    key.append(byte: 3)
    key.append(reduction.loops.count)
    for loop in reduction.loops {
      key.append(loop.axis)
      parametric.extents[loop.axis] = append(loop.extent)
      key.append(loop.block != nil)
      if let block = loop.block { parametric.blocks[loop.axis] = append(block) }
    }
    key.append([reduction.lanes, reduction.interleave] + reduction.registers)
    var copied = reduction
    copied.initial = copy(reduction.initial)
    copied.step = copy(reduction.step)
    copied.merge = copy(reduction.merge)
    return copied
  }
}
