import MartletTensors

/// Checks the rows of an arena by themselves.
///
/// - R1: A row refers only to rows before it, its condition included.
/// - R2: A row has as many operands as its operation takes.
/// - R3: Operand and result types fit: comparisons and tests give `bool`; `select` and conditions take one; indices, axes and
///   parameters are `int64`; the operands of any other operation, and its result, have one type; `bitcast` keeps the width.
///   Floats of 16 bits are only selected, reinterpreted, and cast from and to `float32`.
/// - R4: Every type is one that can be computed with.
/// - R5: A payload names something: axes below 64, parameters below 256, states and registers from 0 on.
struct ScalarVerifier {
  static func verify(_ arena: ScalarArena) throws(KernelViolation) {
    for (index, row) in arena.rows.enumerated() {
      let name = "row \(index) (\(row.operation))"
      let uses = row.operands + (row.condition == .none ? [] : [row.condition])
      guard uses.allSatisfy({ Int($0.index) < index }) else {
        throw KernelViolation("R1", "\(name) refers to a row that is not before it")
      }
      if let arity = row.operation.arity, arity != Int(row.operandCount) {
        throw KernelViolation("R2", "\(name) has \(row.operandCount) operands, not \(arity)")
      }
      guard row.type.isComputable else { throw KernelViolation("R4", "\(name) has the type \(row.type)") }
      guard hasFittingTypes(row, in: arena) else {
        let types = row.operands.map { "\(arena.type(of: $0))" }.joined(separator: ", ")
        throw KernelViolation("R3", "\(name) of type \(row.type) does not take operands of types (\(types))")
      }
      let limit: Int64? =
        switch row.operation {
        case .axis: 64
        case .parameter: 256
        case .state, .other, .register: 1 << 20
        default: nil
        }
      if let limit, row.payload < 0 || row.payload >= limit {
        throw KernelViolation("R5", "\(name) has the number \(row.payload)")
      }
    }
  }

  private static func hasFittingTypes(_ row: ScalarRow, in arena: ScalarArena) -> Bool {
    let operands = row.operands.map { arena.type(of: $0) }
    if row.condition != .none, row.operation != .load || arena.type(of: row.condition) != .bool { return false }
    if operands.contains(where: \.isHalf), ![.select, .cast, .bitcast].contains(row.operation) { return false }
    switch row.operation {
    case .constant, .state, .other, .register: return true
    case .axis, .parameter: return row.type == .int64
    case .load: return operands.allSatisfy { $0 == .int64 }
    case .checkIndex: return row.type == .int64 && operands == [.int64, .int64]
    case .select: return operands[0] == .bool && operands[1] == row.type && operands[2] == row.type
    case .equal, .notEqual, .less, .lessEqual: return row.type == .bool && operands[0] == operands[1]
    case .isNaN, .isInfinite, .isFinite: return row.type == .bool
    case .cast:
      return operands[0].isHalf ? row.type == .float32 : !row.type.isHalf || operands[0] == .float32
    case .bitcast: return operands[0].byteWidth == row.type.byteWidth
    case .not, .and, .or, .xor, .shiftLeft, .shiftRightLogical:
      return !row.type.isFloatingPoint && operands.allSatisfy { $0 == row.type }
    case .multiplyAdd: return row.type.isFloatingPoint && operands.allSatisfy { $0 == row.type }
    case .exp, .expm1, .log, .log1p, .sin, .cos, .tan, .atan, .tanh, .sigmoid, .erf, .sqrt, .rsqrt:
      return row.type.isFloatingPoint && operands[0] == row.type
    default: return operands.allSatisfy { $0 == row.type }
    }
  }
}
