import MartletTensors

extension ScalarSimplifier {
  /// A row on floats of 16 bits as rows on `float32` with a relaxed cast at the end; nil for what needs no arithmetic.
  ///
  /// Since casting such a result back gives the `float32` itself, an expression is rounded only where it is stored.
  mutating func halves(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID? {
    switch row.operation {
    case .constant, .axis, .parameter, .load, .state, .other, .register, .bitcast: return nil
    case .cast:
      let source = arena.type(of: row.operand(0))
      if source == row.type || source == .float32 || row.type == .float32 { return nil }
      guard source.isHalf || row.type.isHalf else { return nil }
      let float = make(.cast, .float32, row.operand(0), in: &arena)
      return intern(ScalarRow(.cast, row.type, [float], payload: row.payload), in: &arena)
    case .select:
      // Elements that are only moved keep their type.
      let types = (arena.type(of: row.operand(1)), arena.type(of: row.operand(2)))
      guard types.0.isHalf || types.1.isHalf else { return nil }
      let isComputed = arena[row.operand(1)].isRelaxedCast || arena[row.operand(2)].isRelaxedCast
      guard types.0 != types.1 || isComputed else { return nil }
    default:
      let isArithmetic = (0..<Int(row.operandCount)).contains { arena.type(of: row.operand($0)).isHalf }
      guard isArithmetic else { return nil }
    }
    var wide = row
    for i in 0..<Int(row.operandCount) where arena.type(of: row.operand(i)).isHalf {
      wide.lanes[i] = make(.cast, .float32, row.operand(i), in: &arena).index
    }
    wide.type = row.type.arithmeticType
    let result = intern(wide, in: &arena)
    guard row.type.isHalf else { return result }
    return intern(ScalarRow(.cast, row.type, [result], payload: ScalarRow.relaxed), in: &arena)
  }
}
