import MartletTensors

/// Writes scalars as text. A row that is used once stands within its user's expression while that stays short; the others
/// are lines `t0 = …` of their own.
struct ScalarPrinter {
  let arena: ScalarArena
  /// How a load's source is called.
  let sourceName: (Int64) -> String
  private var texts: [ScalarID: String] = [:]
  private var names = 0
  /// Lines that were written and not taken yet.
  private var lines: [String] = []

  init(_ arena: ScalarArena, sourceName: @escaping (Int64) -> String) {
    self.arena = arena
    self.sourceName = sourceName
  }

  /// Starts a new scope: what was named before is not known in it.
  mutating func reset() { texts = [:] }

  /// The text of each root; `takeLines` gives the definitions that it relies on.
  mutating func print(_ roots: [ScalarID]) -> [String] {
    let rows = arena.reachable(from: roots)
    var uses: [ScalarID: Int] = [:]
    for id in rows {
      let row = arena[id]
      for operand in row.operands { uses[operand, default: 0] += 1 }
      if row.condition != .none { uses[row.condition, default: 0] += 1 }
    }
    for root in roots where root != .none { uses[root, default: 0] += 1 }
    for id in rows where texts[id] == nil {
      let expression = expression(arena[id])
      let isLeaf = arena[id].operandCount == 0 && arena[id].operation != .load
      if isLeaf || (uses[id] == 1 && expression.count <= 70) {
        texts[id] = expression
      } else {
        lines.append("t\(names) = \(expression)")
        texts[id] = "t\(names)"
        names += 1
      }
    }
    return roots.map { $0 == .none ? "" : texts[$0]! }
  }

  mutating func takeLines() -> [String] {
    defer { lines = [] }
    return lines
  }

  private static let infix: [ScalarOperation: String] = [
    .add: "+", .subtract: "-", .multiply: "*", .divide: "/", .floorDivide: "div", .floorModulo: "mod", .equal: "==",
    .notEqual: "!=", .less: "<", .lessEqual: "<=", .and: "&", .or: "|", .xor: "^", .shiftLeft: "<<",
    .shiftRightLogical: ">>",
  ]

  private func expression(_ row: ScalarRow) -> String {
    let operands = row.operands.map { texts[$0]! }
    switch row.operation {
    case .constant: return constant(row)
    case .axis: return "i\(row.payload)"
    case .parameter: return "parameter\(row.payload)"
    case .state: return "state\(row.payload)"
    case .other: return "other\(row.payload)"
    case .register: return "r\(row.payload)"
    case .load:
      let element = sourceName(row.payload) + "[" + operands.joined(separator: ", ") + "]"
      return row.condition == .none ? element : "(\(texts[row.condition]!) ? \(element) : 0)"
    case .cast where row.payload == ScalarRow.relaxed: return "round<\(row.type)>(\(operands[0]))"
    case .cast, .bitcast: return "\(row.operation)<\(row.type)>(\(operands[0]))"
    case .select: return "(\(operands[0]) ? \(operands[1]) : \(operands[2]))"
    case .checkIndex: return "checkIndex#\(row.payload)(\(operands.joined(separator: ", ")))"
    default:
      if let sign = Self.infix[row.operation], operands.count == 2 { return "(\(operands[0]) \(sign) \(operands[1]))" }
      return "\(row.operation)(\(operands.joined(separator: ", ")))"
    }
  }

  private func constant(_ row: ScalarRow) -> String {
    switch row.type {
    case .float32: "\(Float(bitPattern: UInt32(truncatingIfNeeded: row.payload)))"
    case .float16: "\(Float16(bitPattern: UInt16(truncatingIfNeeded: row.payload)))"
    case .bfloat16: "\(BFloat16(bitPattern: UInt16(truncatingIfNeeded: row.payload)))"
    case .float64: "\(Double(bitPattern: UInt64(bitPattern: row.payload)))"
    case .bool: row.payload != 0 ? "true" : "false"
    default: "\(row.payload)"
    }
  }
}
