import MartletTensors

@testable import MartletLoopIR

/// Evaluates one scalar row after another, without any of the interpreter's machinery.
func evaluate(_ root: ScalarID, in arena: ScalarArena, axes: [Int]) -> Int64 {
  var lanes = [UInt64](repeating: 0, count: arena.count)
  for index in 0...Int(root.index) {
    let row = arena.rows[index]
    switch row.operation {
    case .constant: lanes[index] = ScalarEvaluator.lane(bits: row.payload, row.type)
    case .axis: lanes[index] = UInt64(axes[Int(row.payload)])
    case .load, .parameter, .state, .other, .register: preconditionFailure("a leaf that has no value here")
    default:
      var operands: (UInt64, UInt64, UInt64) = (
        lanes[Int(row.lanes[0])], lanes[Int(row.lanes[1])], lanes[Int(row.lanes[2])]
      )
      let source = arena.type(of: row.operand(row.operation == .select ? 1 : 0))
      ScalarEvaluator.evaluate(
        row.operation, row.type, from: source, into: &lanes[index], count: 1, &operands.0, &operands.1, &operands.2)
    }
  }
  return ScalarEvaluator.bits(lane: lanes[Int(root.index)], arena.type(of: root))
}
