import CMartletRuntime
import MartletLoopIR
import MartletTensors

/// Emits one scalar operation on scalars, or on vectors of `lanes`, as `ScalarEvaluator` defines it.
struct OperationEmitter {
  let ir: IRBuilder
  let lanes: Int
  /// The types of the result and of the first operand.
  let type: ElementType
  let operandType: ElementType
  /// Bounds of each operand, where they are integers.
  let ranges: [ScalarRange]

  func emit(_ operation: ScalarOperation, _ operands: [IRValue]) -> IRValue {
    switch operation {
    case .select: ir.select(operands[0], operands[1], operands[2])
    case .cast: cast(operands[0])
    case .bitcast: bitcast(operands[0])
    default:
      operandType.isFloatingPoint
        ? float(operation, operands)
        : operandType == .bool ? boolean(operation, operands) : integer(operation, operands)
    }
  }

  // MARK: Types

  func irType(_ type: ElementType) -> IRType {
    let element =
      switch type {
      case .float32: ir.float
      case .float64: ir.double
      case .int32: ir.int32
      case .float16, .bfloat16: ir.int16
      case .uint8: ir.int8
      case .bool: ir.int1
      default: ir.int64
      }
    return ir.lanes(element, lanes)
  }

  func constant(_ value: Int64, _ type: ElementType) -> IRValue {
    let element =
      switch type {
      case .int32: ir.int32
      case .uint8: ir.int8
      case .bool: ir.int1
      default: ir.int64
      }
    return ir.repeated(ir.constant(value, element), lanes)
  }

  // MARK: Floats

  private func float(_ operation: ScalarOperation, _ operands: [IRValue]) -> IRValue {
    let math = LaneMath(ir, operandType == .float64 ? .double : .single, lanes: lanes)
    let x = operands[0]
    switch operation {
    case .negate: return ir.fneg(x)
    case .absolute: return math.absolute(x)
    case .sign:
      let signed = ir.select(
        math.less(x, math.constant(0)), math.constant(-1), ir.select(math.isNaN(x), x, math.constant(0)))
      return ir.select(math.less(math.constant(0), x), math.constant(1), signed)
    case .floor: return math.call("llvm.floor", x)
    case .ceil: return math.call("llvm.ceil", x)
    case .round: return math.call("llvm.roundeven", x)
    case .sqrt: return math.call("llvm.sqrt", x)
    case .rsqrt: return ir.fdiv(math.constant(1), math.call("llvm.sqrt", x))
    case .reciprocal: return ir.fdiv(math.constant(1), x)
    case .exp: return math.exp(x)
    case .expm1: return math.expm1(x)
    case .log: return math.log(x)
    case .log1p: return math.log1p(x)
    case .sin: return math.sin(x)
    case .cos: return math.cos(x)
    case .tan: return math.tan(x)
    case .atan: return math.atan(x)
    case .tanh: return math.tanh(x)
    case .sigmoid: return math.sigmoid(x)
    case .erf: return math.erf(x)
    case .multiplyAdd: return math.fma(x, operands[1], operands[2])
    case .isNaN: return math.isNaN(x)
    case .isInfinite: return math.equal(math.absolute(x), math.constant(.infinity))
    case .isFinite: return math.less(math.absolute(x), math.constant(.infinity))
    default: return float(operation, x, operands[1], math)
    }
  }

  private func float(_ operation: ScalarOperation, _ x: IRValue, _ y: IRValue, _ math: LaneMath) -> IRValue {
    switch operation {
    case .add: return ir.fadd(x, y)
    case .subtract: return ir.fsub(x, y)
    case .multiply: return ir.fmul(x, y)
    case .divide: return ir.fdiv(x, y)
    case .floorDivide: return math.call("llvm.floor", ir.fdiv(x, y))
    case .floorModulo:
      let remainder = ir.frem(x, y)
      let zero = math.constant(0)
      let differs = ir.xor(math.less(remainder, zero), math.less(y, zero))
      let isNotZero = ir.compare(martlet_llvm_real_une, remainder, zero)
      return ir.select(ir.and(isNotZero, differs), ir.fadd(remainder, y), remainder)
    // The inner selections are the processor's own minimum and maximum, which yield the second operand for a NaN.
    case .minimum: return ir.select(math.isNaN(x), x, ir.select(math.less(x, y), x, y))
    case .maximum: return ir.select(math.isNaN(x), x, ir.select(math.less(y, x), x, y))
    case .power: return math.power(x, y)
    case .equal: return math.equal(x, y)
    case .notEqual: return ir.compare(martlet_llvm_real_une, x, y)
    case .less: return math.less(x, y)
    case .lessEqual: return ir.compare(martlet_llvm_real_ole, x, y)
    default: preconditionFailure("\(operation) is not defined on floats")
    }
  }

  // MARK: Booleans

  private func boolean(_ operation: ScalarOperation, _ operands: [IRValue]) -> IRValue {
    let x = operands[0]
    switch operation {
    case .negate, .absolute, .sign, .floor, .ceil, .round, .reciprocal: return x
    case .not: return ir.not(x)
    case .isNaN, .isInfinite: return ir.zero(ir.type(of: x))
    case .isFinite: return constant(1, .bool)
    default: break
    }
    let y = operands[1]
    switch operation {
    case .add, .subtract, .xor, .notEqual: return ir.xor(x, y)
    case .multiply, .and, .minimum, .divide, .floorDivide: return ir.and(x, y)
    case .or, .maximum: return ir.or(x, y)
    case .floorModulo: return ir.zero(ir.type(of: x))
    case .power, .shiftLeft, .shiftRightLogical:
      return operation == .power ? ir.or(x, ir.not(y)) : ir.and(x, ir.not(y))
    case .equal: return ir.not(ir.xor(x, y))
    case .less: return ir.and(ir.not(x), y)
    case .lessEqual: return ir.or(ir.not(x), y)
    default: preconditionFailure("\(operation) is not defined on Booleans")
    }
  }

  // MARK: Conversions

  private func bitcast(_ x: IRValue) -> IRValue {
    if type == operandType { return x }
    if operandType == .bool { return ir.zext(x, irType(type)) }
    if type == .bool { return ir.trunc(x, irType(type)) }
    return ir.bitcast(x, irType(type))
  }

  private func cast(_ x: IRValue) -> IRValue {
    let target = irType(type)
    switch (operandType.isFloatingPoint, type.isFloatingPoint) {
    case (true, true):
      if type == operandType { return x }
      if operandType.isHalf { return HalfConversion(ir, operandType, lanes: lanes).widened(x) }
      if type.isHalf { return HalfConversion(ir, type, lanes: lanes).narrowed(x) }
      return type == .float64 ? ir.fpext(x, target) : ir.fptrunc(x, target)
    case (false, true):
      if operandType == .bool {
        let one = ir.llvm.pointee.ConstReal(type == .float32 ? ir.float : ir.double, 1)!
        return ir.select(x, ir.repeated(one, lanes), ir.zero(target))
      }
      return operandType.isSigned ? ir.sitofp(x, target) : ir.uitofp(x, target)
    case (true, false):
      if type == .bool { return ir.compare(martlet_llvm_real_une, x, ir.zero(ir.type(of: x))) }
      let name = type.isSigned ? "llvm.fptosi.sat" : "llvm.fptoui.sat"
      return ir.intrinsic(name, [target, ir.type(of: x)], [x])
    case (false, false):
      if type == .bool {
        return operandType == .bool ? x : ir.compare(martlet_llvm_int_ne, x, constant(0, operandType))
      }
      if type.byteWidth < operandType.byteWidth { return ir.trunc(x, target) }
      if type.byteWidth == operandType.byteWidth && operandType != .bool { return x }
      return operandType.isSigned ? ir.sext(x, target) : ir.zext(x, target)
    }
  }
}
