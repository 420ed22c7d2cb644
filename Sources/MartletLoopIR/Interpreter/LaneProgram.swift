import MartletTensors

/// Scalar rows as a flat list of instructions over lanes: rows only refer to earlier rows, so their order is the
/// program, and each row is computed once.
final class LaneProgram {
  typealias Lanes = ScalarEvaluator.Lanes

  private struct Instruction {
    var operation: ScalarOperation
    var type: ElementType
    var operandType: ElementType
    var isWide: Bool
    var payload: Int64
    var result: Lanes
    var operands: [Lanes]
    var condition: Lanes?
    var buffer: ElementBuffer?
  }

  private let environment: LaneEnvironment
  private let status: InterpretationStatus
  private let memory: Lanes
  private var lanes: [ScalarID: Lanes] = [:]
  private var fixed: [Instruction] = []
  private var varying: [Instruction] = []

  /// - Parameters:
  ///   - roots: The rows that are wanted.
  ///   - isVarying: Whether a leaf changes between runs of the varying part; what depends on no such leaf is the fixed part.
  ///   - buffer: The memory that a load with a payload reads.
  init(
    _ arena: ScalarArena, roots: [ScalarID], environment: LaneEnvironment, status: InterpretationStatus,
    isVarying: (ScalarRow) -> Bool = { _ in true }, buffer: (Int64) -> ElementBuffer
  ) {
    self.environment = environment
    self.status = status
    let rows = arena.reachable(from: roots)
    let width = environment.width
    memory = .allocate(capacity: max(1, rows.count * width))
    memory.initialize(repeating: 0, count: max(1, rows.count * width))
    var next = memory
    var varies = Set<ScalarID>()
    var wide = Set<ScalarID>()
    for id in rows {
      let row = arena[id]
      let uses = row.condition == .none ? row.operands : row.operands + [row.condition]
      if isVarying(row) || uses.contains(where: varies.contains) { varies.insert(id) }
      if row.operation == .state || row.operation == .other || row.operands.contains(where: wide.contains) {
        wide.insert(id)
      }
      switch row.operation {
      case .axis: lanes[id] = environment.axis(Int(row.payload))
      case .state: lanes[id] = environment.state(Int(row.payload))
      case .other: lanes[id] = environment.other(Int(row.payload))
      case .register: lanes[id] = environment.register(Int(row.payload))
      case .constant, .parameter:
        let value =
          row.operation == .constant
          ? ScalarEvaluator.lane(bits: row.payload, row.type)
          : UInt64(bitPattern: environment.parameters[Int(row.payload)])
        next.update(repeating: value, count: width)
        lanes[id] = next
        next += width
      default:
        let operandType = arena.type(of: row.operandCount == 0 ? id : row.operand(row.operation == .select ? 1 : 0))
        let instruction = Instruction(
          operation: row.operation, type: row.type, operandType: operandType, isWide: wide.contains(id),
          payload: row.payload, result: next, operands: row.operands.map { lanes[$0]! },
          condition: row.condition == .none ? nil : lanes[row.condition]!,
          buffer: row.operation == .load ? buffer(row.payload) : nil)
        if varies.contains(id) { varying.append(instruction) } else { fixed.append(instruction) }
        lanes[id] = next
        next += width
      }
    }
  }

  deinit { memory.deallocate() }

  /// The lanes of a wanted row.
  func lanes(of id: ScalarID) -> Lanes { lanes[id]! }

  /// Computes the rows that depend on no varying leaf.
  func runFixed(count: Int) { run(fixed, first: 0, count: count) }

  /// Computes the other rows, in lanes first ..< first + count.
  func runVarying(first: Int = 0, count: Int) { run(varying, first: first, count: count) }

  func runAll(count: Int) {
    runFixed(count: count)
    runVarying(count: count)
  }

  private func run(_ instructions: [Instruction], first: Int, count: Int) {
    for instruction in instructions {
      let operands = instruction.operands
      if instruction.operation == .load {
        load(instruction, first: first, count: count)
        continue
      }
      let x = operands[0] + first
      let y = (operands.count > 1 ? operands[1] : operands[0]) + first
      let z = (operands.count > 2 ? operands[2] : operands[0]) + first
      if instruction.operation == .checkIndex {
        for i in 0..<count where Int64(bitPattern: x[i]) < 0 || Int64(bitPattern: x[i]) >= Int64(bitPattern: y[i]) {
          status.record(.badIndex(code: instruction.payload, index: Int64(bitPattern: x[i])))
        }
      }
      ScalarEvaluator.evaluate(
        instruction.operation, instruction.type, from: instruction.operandType, into: instruction.result + first,
        count: count, x, y, z, isWide: instruction.isWide)
    }
  }

  private func load(_ instruction: Instruction, first: Int, count: Int) {
    guard let buffer = instruction.buffer else { preconditionFailure("a load without a buffer") }
    for i in first..<first + count {
      if let condition = instruction.condition, condition[i] == 0 {
        instruction.result[i] = 0
        continue
      }
      var offset: Int64 = 0
      for (axis, operand) in instruction.operands.enumerated() {
        offset = offset &+ Int64(bitPattern: operand[i]) &* Int64(buffer.strides[axis])
      }
      if offset < 0 || offset >= buffer.elementCount {
        status.record(.outOfBounds(name: buffer.name, offset: offset, elementCount: buffer.elementCount))
        instruction.result[i] = 0
      } else {
        instruction.result[i] = buffer.read(Int(offset))
      }
    }
  }
}

extension ScalarArena {
  /// The rows that `roots` need, themselves included, in the order of the arena; `.none` needs nothing.
  ///
  /// - Complexity: n log n in the rows found, however large the arena is: programs of many stages ask for each.
  public func reachable(from roots: [ScalarID]) -> [ScalarID] {
    var seen: Set<ScalarID> = []
    var found: [ScalarID] = []
    func add(_ id: ScalarID) {
      if id != .none, seen.insert(id).inserted { found.append(id) }
    }
    for root in roots { add(root) }
    var next = 0
    while next < found.count {
      let row = self[found[next]]
      for i in 0..<Int(row.operandCount) { add(row.operand(i)) }
      add(row.condition)
      next += 1
    }
    return found.sorted()
  }
}
