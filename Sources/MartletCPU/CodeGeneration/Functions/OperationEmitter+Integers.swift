import CMartletRuntime
import MartletLoopIR
import MartletTensors

extension OperationEmitter {
  /// Emits an operation on integers; a `uint8` has no sign.
  func integer(_ operation: ScalarOperation, _ operands: [IRValue]) -> IRValue {
    let x = operands[0]
    let type = ir.type(of: x)
    switch operation {
    case .negate: return ir.sub(ir.zero(type), x)
    case .absolute:
      return operandType.isSigned ? ir.intrinsic("llvm.abs", [type], [x, ir.zero(ir.int1)]) : x
    case .sign:
      let zero = ir.zero(type)
      let positive = ir.zext(less(zero, x), type)
      return operandType.isSigned ? ir.sub(positive, ir.zext(less(x, zero), type)) : positive
    case .not: return ir.not(x)
    case .floor, .ceil, .round: return x
    case .isNaN, .isInfinite: return constant(0, .bool)
    case .isFinite: return constant(1, .bool)
    case .reciprocal: return divide(.divide, constant(1, operandType), x, ScalarRange(1, 1), ranges[0])
    default: return integer(operation, x, operands[1])
    }
  }

  private func integer(_ operation: ScalarOperation, _ x: IRValue, _ y: IRValue) -> IRValue {
    let type = ir.type(of: x)
    let sign = operandType.isSigned ? "s" : "u"
    switch operation {
    case .add: return ir.add(x, y)
    case .subtract: return ir.sub(x, y)
    case .multiply: return ir.mul(x, y)
    case .divide, .floorDivide, .floorModulo: return divide(operation, x, y, ranges[0], ranges[1])
    case .minimum: return ir.intrinsic("llvm.\(sign)min", [type], [x, y])
    case .maximum: return ir.intrinsic("llvm.\(sign)max", [type], [x, y])
    case .power: return power(x, y)
    case .equal: return ir.compare(martlet_llvm_int_eq, x, y)
    case .notEqual: return ir.compare(martlet_llvm_int_ne, x, y)
    case .less: return less(x, y)
    case .lessEqual: return ir.not(less(y, x))
    case .and: return ir.and(x, y)
    case .or: return ir.or(x, y)
    case .xor: return ir.xor(x, y)
    case .shiftLeft: return ir.shl(x, ir.and(y, constant(Int64(operandType.byteWidth) * 8 - 1, operandType)))
    case .shiftRightLogical:
      return ir.lshr(x, ir.and(y, constant(Int64(operandType.byteWidth) * 8 - 1, operandType)))
    default: preconditionFailure("\(operation) is not defined on integers")
    }
  }

  private func less(_ x: IRValue, _ y: IRValue) -> IRValue {
    ir.compare(operandType.isSigned ? martlet_llvm_int_slt : martlet_llvm_int_ult, x, y)
  }

  // MARK: Division

  /// The total quotient or remainder: 0 for divisor 0, and the lowest integer over −1 wraps.
  private func divide(
    _ operation: ScalarOperation, _ x: IRValue, _ y: IRValue, _ xRange: ScalarRange, _ yRange: ScalarRange
  ) -> IRValue {
    let hasSign = operandType.isSigned && (xRange.lower < 0 || yRange.lower < 0)
    let (zero, one) = (constant(0, operandType), constant(1, operandType))
    let lowest = operandType == .int32 ? Int64(Int32.min) : .min
    var divisor = y
    var isZero: IRValue?
    if yRange.includes(0) {
      isZero = ir.compare(martlet_llvm_int_eq, y, zero)
      divisor = ir.select(isZero!, one, divisor)
    }
    if hasSign, yRange.includes(-1), xRange.includes(lowest) {
      let wraps = ir.and(
        ir.compare(martlet_llvm_int_eq, x, constant(lowest, operandType)),
        ir.compare(martlet_llvm_int_eq, y, constant(-1, operandType)))
      divisor = ir.select(wraps, one, divisor)
    }
    let quotient = quotient(x, divisor, hasSign: hasSign, fits32: fits32(xRange) && fits32(yRange))
    var result = quotient
    if operation != .divide {
      let remainder = ir.sub(x, ir.mul(quotient, divisor))
      result = operation == .floorModulo ? remainder : quotient
      if hasSign {
        let hasOtherSign = ir.compare(martlet_llvm_int_slt, ir.xor(remainder, divisor), zero)
        let isBelow = ir.and(ir.compare(martlet_llvm_int_ne, remainder, zero), hasOtherSign)
        let floored = operation == .floorModulo ? ir.add(remainder, divisor) : ir.sub(quotient, one)
        result = ir.select(isBelow, floored, result)
      }
    }
    guard let isZero else { return result }
    return ir.select(isZero, zero, result)
  }

  private func fits32(_ range: ScalarRange) -> Bool {
    range.lower >= 0 && range.upper <= Int64(Int32.max)
  }

  /// The truncated quotient by a divisor that neither is zero nor makes it overflow.
  ///
  /// Vectors of up to 32 bits by anything but a constant go by way of floats wide enough that the truncated quotient is
  /// exact: a quotient below an integer k stays at least 1 / y, thus k · 2⁻³², below it, more than half a unit in the last place.
  private func quotient(_ x: IRValue, _ y: IRValue, hasSign: Bool, fits32: Bool) -> IRValue {
    let isConstant = ir.llvm.pointee.IsConstant(y) != 0
    if lanes > 1, !isConstant, operandType == .int32 || operandType == .uint8 {
      let wide = ir.lanes(operandType == .int32 ? ir.double : ir.float, lanes)
      if operandType == .int32 { return ir.fptosi(ir.fdiv(ir.sitofp(x, wide), ir.sitofp(y, wide)), irType(.int32)) }
      return ir.trunc(ir.fptosi(ir.fdiv(ir.uitofp(x, wide), ir.uitofp(y, wide)), irType(.int32)), irType(.uint8))
    }
    if operandType == .int64, fits32 {
      let narrow = irType(.int32)
      return ir.zext(ir.udiv(ir.trunc(x, narrow), ir.trunc(y, narrow)), irType(.int64))
    }
    return hasSign ? ir.sdiv(x, y) : ir.udiv(x, y)
  }

  // MARK: Powers

  /// x to the power y by repeated squaring, wrapping; a loop that ends when no lane has bits of its exponent left.
  private func power(_ x: IRValue, _ y: IRValue) -> IRValue {
    let type = ir.type(of: x)
    let (zero, one) = (constant(0, operandType), constant(1, operandType))
    if ranges[1].lower == ranges[1].upper, 0...64 ~= ranges[1].lower {
      return power(x, exponent: ranges[1].lower)
    }
    let (before, header, after) = (ir.block, ir.block("power"), ir.block("powerEnd"))
    ir.branch(header)
    ir.position(at: header)
    let (result, factor, rest) = (ir.phi(type), ir.phi(type), ir.phi(type))
    let isOdd = ir.compare(martlet_llvm_int_ne, ir.and(rest, one), zero)
    let nextResult = ir.select(isOdd, ir.mul(result, factor), result)
    let nextFactor = ir.mul(factor, factor)
    let nextRest = ir.lshr(rest, one)
    let isLeft = ir.compare(martlet_llvm_int_ne, nextRest, zero)
    let any = lanes == 1 ? isLeft : ir.intrinsic("llvm.vector.reduce.or", [ir.type(of: isLeft)], [isLeft])
    ir.branch(if: any, header, else: after)
    for (phi, first, next) in [(result, one, nextResult), (factor, x, nextFactor), (rest, y, nextRest)] {
      ir.addIncoming(phi, first, from: before)
      ir.addIncoming(phi, next, from: header)
    }
    ir.position(at: after)
    if ranges[1].lower >= 0 { return nextResult }
    // 1 / xʸ truncated: only ±1 have one that is not zero.
    let isUnit = ir.compare(martlet_llvm_int_eq, x, one)
    let isMinusUnit = ir.compare(martlet_llvm_int_eq, x, constant(-1, operandType))
    let alternating = ir.sub(one, ir.shl(ir.and(y, one), one))
    let inverse = ir.select(isUnit, one, ir.select(isMinusUnit, alternating, zero))
    return ir.select(less(y, zero), inverse, nextResult)
  }

  private func power(_ x: IRValue, exponent: Int64) -> IRValue {
    var (result, factor, rest): (IRValue?, IRValue, Int64) = (nil, x, exponent)
    while rest > 0 {
      if rest & 1 == 1 { result = result.map { ir.mul($0, factor) } ?? factor }
      rest >>= 1
      if rest > 0 { factor = ir.mul(factor, factor) }
    }
    return result ?? constant(1, operandType)
  }
}

extension ScalarRange {
  fileprivate func includes(_ value: Int64) -> Bool { lower <= value && value <= upper }
}
