import MartletTensors

/// Interns rows in their simplest equal form.
///
/// Each rule is exact: the result has the same bits for every value of the operands, up to the payload of a NaN. Rules about
/// index arithmetic use the ranges that follow from `axisExtents`; a row that such a rule produced holds for the axes of
/// the stage at hand, and is not to be carried to another.
struct ScalarSimplifier: Sendable {
  /// The extents of the axes in scope by number; nil and missing ones are unknown.
  var axisExtents: [Int?] = [] {
    didSet { if axisExtents != oldValue { epoch &+= 1 } }
  }
  private var epoch: UInt32 = 1
  /// Ranges of rows by index, with the epoch in which each was computed.
  private var ranges: [(range: ScalarRange, epoch: UInt32)] = []

  init() {}

  // MARK: Ranges

  /// The values that a row can have within the axes' extents.
  mutating func range(of id: ScalarID, in arena: ScalarArena) -> ScalarRange {
    if ranges.count < arena.count {
      let missing = arena.count - ranges.count
      ranges.append(contentsOf: repeatElement((range: ScalarRange(0), epoch: UInt32(0)), count: missing))
    }
    var pending = [id]
    while let next = pending.last {
      if ranges[Int(next.index)].epoch == epoch {
        pending.removeLast()
        continue
      }
      let row = arena[next]
      let operands = row.operation == .load ? [] : row.operands
      let open = operands.filter { ranges[Int($0.index)].epoch != epoch }
      if open.isEmpty {
        let range = ScalarRange.of(
          row, operands: operands.map { ranges[Int($0.index)].range },
          operandTypes: operands.map { arena.type(of: $0) },
          axisExtent: { axisExtents.indices.contains($0) ? axisExtents[$0] : nil })
        ranges[Int(next.index)] = (range, epoch)
        pending.removeLast()
      } else {
        pending.append(contentsOf: open)
      }
    }
    return ranges[Int(id.index)].range
  }

  /// The range of an affine form without overflow, or nil.
  mutating func range(of form: AffineForm, in arena: ScalarArena) -> ScalarRange? {
    form.range { range(of: $0, in: arena) }
  }

  // MARK: Entry

  /// The address of the simplest row equal to `row`, added to `arena` where it is new.
  mutating func intern(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID {
    if row.operation == .axis, axisExtents.indices.contains(Int(row.payload)), axisExtents[Int(row.payload)] == 1 {
      return constant(0, .int64, in: &arena)
    }
    if let widened = halves(row, in: &arena) { return widened }
    if let folded = fold(row, in: &arena) { return folded }
    if row.operation == .load { return load(row, in: &arena) }
    let row = ordered(row, in: arena)
    let simpler: ScalarID? =
      switch row.operation {
      case .select: select(row, in: &arena)
      case .cast, .bitcast: conversion(row, in: &arena)
      case .checkIndex: checkIndex(row, in: &arena)
      case .not, .and, .or, .xor: logic(row, in: &arena)
      case .equal, .notEqual, .less, .lessEqual: comparison(row, in: &arena)
      default:
        if row.operandCount == 1 {
          unary(row, in: &arena)
        } else if row.operandCount == 2 {
          row.type.isFloatingPoint ? floats(row, in: &arena) : integers(row, in: &arena)
        } else {
          nil
        }
      }
    return simpler ?? arena.intern(row)
  }

  mutating func make(
    _ operation: ScalarOperation, _ type: ElementType, _ operands: ScalarID..., in arena: inout ScalarArena
  ) -> ScalarID {
    intern(ScalarRow(operation, type, operands), in: &arena)
  }

  func constant(_ value: Int64, _ type: ElementType, in arena: inout ScalarArena) -> ScalarID {
    arena.intern(ScalarRow(.constant, type, payload: value))
  }

  func value(of id: ScalarID, in arena: ScalarArena) -> Int64? {
    let row = arena[id]
    return row.operation == .constant ? row.payload : nil
  }

  /// The number that a floating-point constant is.
  func number(of id: ScalarID, in arena: ScalarArena) -> Double? {
    let row = arena[id]
    guard row.operation == .constant, row.type.isFloatingPoint else { return nil }
    return Double(bitPattern: ScalarEvaluator.lane(bits: row.payload, row.type))
  }

  // MARK: Folding and order

  /// The constant that a row of constants computes.
  private func fold(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID? {
    guard row.operandCount > 0, row.operation != .load, row.operation != .checkIndex else { return nil }
    let count = Int(row.operandCount)
    var lanes: (UInt64, UInt64, UInt64) = (0, 0, 0)
    for i in 0..<count {
      let operand = arena[row.operand(i)]
      guard operand.operation == .constant else { return nil }
      let lane = ScalarEvaluator.lane(bits: operand.payload, operand.type)
      if i == 0 { lanes.0 = lane } else if i == 1 { lanes.1 = lane } else { lanes.2 = lane }
    }
    let operandType = arena.type(of: row.operand(row.operation == .select ? 1 : 0))
    var result: UInt64 = 0
    ScalarEvaluator.evaluate(
      row.operation, row.type, from: operandType, into: &result, count: 1, &lanes.0, &lanes.1, &lanes.2)
    // What need not be rounded yet is not.
    if row.isRelaxedCast, result != lanes.0, !Double(bitPattern: lanes.0).isNaN { return nil }
    return constant(ScalarEvaluator.bits(lane: result, row.type), row.type, in: &arena)
  }

  /// Exchanges the operands of a commutative row so that constants come last, and else lower addresses first. Minima and
  /// maxima of floats stay as they are: the order tells in the sign of a zero.
  private func ordered(_ row: ScalarRow, in arena: ScalarArena) -> ScalarRow {
    guard row.operation.isCommutative, row.operandCount == 2 else { return row }
    if row.type.isFloatingPoint, row.operation == .minimum || row.operation == .maximum { return row }
    let (x, y) = (row.operand(0), row.operand(1))
    let isConstant = (arena[x].operation == .constant, arena[y].operation == .constant)
    let exchange = isConstant.0 != isConstant.1 ? isConstant.0 : y < x
    return exchange ? ScalarRow(row.operation, row.type, [y, x], payload: row.payload) : row
  }

  // MARK: Loads, checks, selections

  private func load(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID {
    guard row.condition != .none, let condition = value(of: row.condition, in: arena) else { return arena.intern(row) }
    if condition == 0 { return constant(0, row.type, in: &arena) }
    var row = row
    row.condition = .none
    return arena.intern(row)
  }

  private mutating func checkIndex(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID? {
    guard let extent = value(of: row.operand(1), in: arena) else { return nil }
    let range = range(of: row.operand(0), in: arena)
    return range.lower >= 0 && range.upper < extent ? row.operand(0) : nil
  }

  private mutating func select(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID? {
    let (condition, x, y) = (row.operand(0), row.operand(1), row.operand(2))
    if let known = value(of: condition, in: arena) { return known != 0 ? x : y }
    if x == y { return x }
    let test = arena[condition]
    if test.operation == .not { return make(.select, row.type, test.operand(0), y, x, in: &arena) }
    // Negated comparisons with a constant come as c < x.
    if test.operation == .less, arena.type(of: test.operand(1)) == .int64,
      let bound = value(of: test.operand(0), in: arena), bound < .max
    {
      let opposite = make(.less, .bool, test.operand(1), constant(bound + 1, .int64, in: &arena), in: &arena)
      return make(.select, row.type, opposite, y, x, in: &arena)
    }
    if row.type == .bool {
      switch (value(of: x, in: arena), value(of: y, in: arena)) {
      case (1, 0): return condition
      case (0, 1): return make(.not, .bool, condition, in: &arena)
      default: break
      }
    }
    let (inner, outer) = (arena[x], arena[y])
    if inner.operation == .select, inner.operand(0) == condition {
      return make(.select, row.type, condition, inner.operand(1), y, in: &arena)
    }
    if outer.operation == .select, outer.operand(0) == condition {
      return make(.select, row.type, condition, x, outer.operand(2), in: &arena)
    }
    return nil
  }

  // MARK: Conversions

  private func isLossless(_ source: ElementType, _ target: ElementType) -> Bool {
    switch (source, target) {
    case (.bool, _), (.uint8, .int32), (.uint8, .int64), (.uint8, .float32), (.uint8, .float64), (.int32, .int64),
      (.int32, .float64), (.float32, .float64), (.float16, .float32), (.bfloat16, .float32):
      true
    default: source == target
    }
  }

  private mutating func conversion(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID? {
    let x = row.operand(0)
    let inner = arena[x]
    if inner.type == row.type { return x }
    if row.operation == .bitcast {
      return inner.operation == .bitcast ? make(.bitcast, row.type, inner.operand(0), in: &arena) : nil
    }
    guard inner.operation == .cast else { return nil }
    let source = arena.type(of: inner.operand(0))
    if inner.isRelaxedCast, source == row.type { return inner.operand(0) }
    guard isLossless(source, inner.type) else { return nil }
    if source == row.type { return inner.operand(0) }
    // These go by way of `float32`, which stands here already.
    if source.isHalf || row.type.isHalf { return nil }
    // A float on the way to a narrower integer saturates where the integer itself would wrap.
    if inner.type.isFloatingPoint, !source.isFloatingPoint, !row.type.isFloatingPoint { return nil }
    return make(.cast, row.type, inner.operand(0), in: &arena)
  }

  // MARK: Logic

  private mutating func logic(_ row: ScalarRow, in arena: inout ScalarArena) -> ScalarID? {
    let x = row.operand(0)
    if row.operation == .not {
      let inner = arena[x]
      switch inner.operation {
      case .not: return inner.operand(0)
      case .equal: return make(.notEqual, .bool, inner.operand(0), inner.operand(1), in: &arena)
      case .notEqual: return make(.equal, .bool, inner.operand(0), inner.operand(1), in: &arena)
      case .less where !arena.type(of: inner.operand(0)).isFloatingPoint:
        return make(.lessEqual, .bool, inner.operand(1), inner.operand(0), in: &arena)
      case .lessEqual where !arena.type(of: inner.operand(0)).isFloatingPoint:
        return make(.less, .bool, inner.operand(1), inner.operand(0), in: &arena)
      default: return nil
      }
    }
    let y = row.operand(1)
    if x == y { return row.operation == .xor ? constant(0, row.type, in: &arena) : x }
    guard let known = value(of: y, in: arena) else { return nil }
    let ones: Int64 = row.type == .bool ? 1 : row.type == .uint8 ? 255 : -1
    switch (row.operation, known) {
    case (.and, 0): return y
    case (.and, ones): return x
    case (.or, 0), (.xor, 0): return x
    case (.or, ones): return y
    case (.xor, ones): return make(.not, row.type, x, in: &arena)
    default: return nil
    }
  }
}
