import CMartletRuntime
import MartletLoopIR
import MartletTensors

extension FunctionEmitter {
  /// Emits a row whose operands have values.
  func emit(_ id: ScalarID, _ row: ScalarRow) -> RowValue {
    switch row.operation {
    case .constant: return constant(row)
    case .axis:
      guard let value = axes[Int(row.payload)] else {
        preconditionFailure("axis \(row.payload) of \(nest.name) is used outside its loop")
      }
      return value
    case .parameter:
      return RowValue(value: emit(at: 0) { parameter(number: Int(row.payload)) }, form: .uniform, level: 0)
    case .load: return load(id, row)
    case .state: return states[Int(row.payload)]
    case .other: return others[Int(row.payload)]
    case .register: return read(register: Int(row.payload), facts.resources[Int(id.index)])
    case .checkIndex: return checkIndex(row)
    default: return operation(row)
    }
  }

  private func constant(_ row: ScalarRow) -> RowValue {
    let value: IRValue
    switch row.type {
    case .float32: value = ir.bitcast(ir.constant(row.payload, ir.int32), ir.float)
    case .float64: value = ir.bitcast(ir.constant(row.payload, ir.int64), ir.double)
    case .float16, .bfloat16: value = ir.constant(Int64(Int16(truncatingIfNeeded: row.payload)), ir.int16)
    default: value = ir.constant(row.payload, type(row.type))
    }
    let divisor: Int64 = row.payload == .min ? 1 : abs(row.payload)
    return RowValue(value: value, form: .uniform, level: 0, divisor: divisor)
  }

  private func operation(_ row: ScalarRow) -> RowValue {
    let operands = row.operands.map { value($0) }
    let level = operands.map(\.level).max() ?? 0
    if row.type == .int64, nest.scalars.type(of: row.operand(0)) == .int64,
      let value = affine(row, operands, level)
    {
      return value
    }
    if operands.allSatisfy({ $0.form == .uniform }) {
      let value = emit(at: level) { compute(row, operands.map(\.value), lanes: 1) }
      return RowValue(value: value, form: .uniform, level: level, divisor: divisor(row, operands))
    }
    if row.operation == .cast, row.type == .int32, case .affine(let stride) = operands[0].form {
      // The low halves of the lanes' indices, without 64-bit lanes.
      let value = emit(at: level) {
        ir.add(ir.splat(ir.trunc(operands[0].value, ir.int32), lanes), ir.steps(ir.int32, lanes, stride: stride))
      }
      return RowValue(value: value, form: .vector, level: level)
    }
    // A condition for all lanes stays one bit.
    let vectors = row.operands.enumerated().map { i, operand in
      row.operation == .select && i == 0 && operands[0].form == .uniform ? operands[0].value : vector(operand)
    }
    return RowValue(value: emit(at: level) { compute(row, vectors, lanes: lanes) }, form: .vector, level: level)
  }

  /// Computes a row from its operands, all scalars or all vectors of `lanes`.
  private func compute(_ row: ScalarRow, _ operands: [IRValue], lanes: Int) -> IRValue {
    OperationEmitter(
      ir: ir, lanes: lanes, type: row.type, operandType: nest.scalars.type(of: row.operand(0)),
      ranges: row.operands.map { facts.ranges[Int($0.index)] }
    ).emit(row.operation, operands)
  }

  // MARK: Indices

  /// The row as first + lane · stride, if it is that.
  private func affine(_ row: ScalarRow, _ operands: [RowValue], _ level: Int) -> RowValue? {
    func stride(_ i: Int) -> Int64? {
      switch operands[i].form {
      case .uniform: 0
      case .affine(let stride): stride
      case .vector: nil
      }
    }
    func constant(_ i: Int) -> Int64? {
      let other = nest.scalars[row.operand(i)]
      return other.operation == .constant ? other.payload : nil
    }
    /// The same operation on the first lanes, with the lanes' distance found apart.
    func result(_ stride: Int64) -> RowValue {
      RowValue(
        value: emit(at: level) { compute(row, operands.map(\.value), lanes: 1) },
        form: stride == 0 ? .uniform : .affine(stride: stride), level: level, divisor: divisor(row, operands))
    }
    guard operands.contains(where: { $0.form != .uniform }) else { return nil }
    switch row.operation {
    case .add:
      guard let x = stride(0), let y = stride(1) else { return nil }
      return result(x &+ y)
    case .subtract:
      guard let x = stride(0), let y = stride(1) else { return nil }
      return result(x &- y)
    case .negate:
      guard let x = stride(0) else { return nil }
      return result(0 &- x)
    case .multiply:
      if let factor = constant(1), let x = stride(0) { return result(x &* factor) }
      if let factor = constant(0), let y = stride(1) { return result(y &* factor) }
      return nil
    case .shiftLeft:
      guard let shift = constant(1), let x = stride(0) else { return nil }
      return result(x << (shift & 63))
    case .floorDivide, .divide, .floorModulo:
      // Where a group of lanes never crosses a multiple of the divisor, all lanes have one quotient.
      guard let by = constant(1), by > 0, let x = stride(0), x > 0, x < 1 << 32,
        facts.ranges[Int(row.operand(0).index)].lower >= 0,
        x * Int64(lanes - 1) < greatestCommonDivisor(operands[0].divisor, by)
      else { return nil }
      return result(row.operation == .floorModulo ? x : 0)
    default: return nil
    }
  }

  /// A number that divides the first lane of an index.
  private func divisor(_ row: ScalarRow, _ operands: [RowValue]) -> Int64 {
    guard row.type == .int64 else { return 1 }
    switch row.operation {
    case .add, .subtract: return greatestCommonDivisor(operands[0].divisor, operands[1].divisor)
    case .multiply:
      let (product, overflow) = operands[0].divisor.multipliedReportingOverflow(by: operands[1].divisor)
      return overflow ? 1 : product
    case .negate: return operands[0].divisor
    case .floorModulo: return greatestCommonDivisor(operands[0].divisor, operands[1].divisor)
    default: return 1
    }
  }

  private func greatestCommonDivisor(_ x: Int64, _ y: Int64) -> Int64 {
    var (x, y) = (x, y)
    while y != 0 { (x, y) = (y, x % y) }
    return x
  }

  // MARK: Checks

  /// The index clamped to what exists; one outside raises the run's status.
  private func checkIndex(_ row: ScalarRow) -> RowValue {
    let (index, extent) = (value(row.operand(0)), value(row.operand(1)))
    let level = max(index.level, extent.level)
    let (given, bound) = (facts.ranges[Int(row.operand(0).index)], facts.ranges[Int(row.operand(1).index)])
    if given.lower >= 0, given.upper < bound.lower {
      var unchecked = index
      unchecked.level = level
      return unchecked
    }
    let isUniform = index.form == .uniform && extent.form == .uniform
    let lanes = isUniform ? 1 : lanes
    let x = isUniform ? index.value : vector(row.operand(0))
    let y = isUniform ? extent.value : vector(row.operand(1))
    let clamped = emit(at: level) {
      let zero = ir.zero(ir.lanes(ir.int64, lanes))
      // Negative indices are large without a sign; an empty extent lets no index through.
      var outside = ir.compare(martlet_llvm_int_uge, x, ir.intrinsic("llvm.smax", [ir.type(of: y)], [y, zero]))
      if !isUniform, let activeMask { outside = ir.and(outside, activeMask) }
      raise(where: outside, index: x, lanes: lanes, site: row.payload)
      let last = ir.sub(y, ir.repeated(ir.int(1), lanes))
      let type = ir.type(of: x)
      return ir.intrinsic("llvm.smax", [type], [ir.intrinsic("llvm.smin", [type], [x, last]), zero])
    }
    return RowValue(value: clamped, form: isUniform ? .uniform : .vector, level: level)
  }

  /// Records the first faulty lane in the status, off the straight path.
  private func raise(where outside: IRValue, index: IRValue, lanes: Int, site: Int64) {
    let (fault, onward) = (ir.block("fault"), ir.block("onward"))
    let mask = ir.lanes(ir.int1, lanes)
    let any = lanes == 1 ? outside : ir.intrinsic("llvm.vector.reduce.or", [mask], [outside])
    ir.branch(if: any, fault, else: onward)
    ir.position(at: fault)
    var faulty = index
    if lanes > 1 {
      let bits = ir.llvm.pointee.IntTypeInContext(ir.context, UInt32(lanes))!
      let first = ir.intrinsic("llvm.cttz", [bits], [ir.bitcast(outside, bits), ir.constant(1, ir.int1)])
      faulty = ir.extract(index, first)
    }
    _ = ir.call(
      external: KernelFault.raiseName, ir.void, [ir.pointer, ir.int32, ir.int64, ir.int64],
      [status, ir.constant(Int64(KernelFault.indexOutOfBounds), ir.int32), ir.constant(site, ir.int64), faulty])
    ir.branch(onward)
    ir.position(at: onward)
  }
}
