import CMartletRuntime
import MartletTensors

/// Conversions between `float` and floats of 16 bits, which stand as their bits in integers: to the nearest, ties to even,
/// with subnormal numbers, and NaN stays NaN. No instruction of them calls a function.
struct HalfConversion {
  private let ir: IRBuilder
  private let type: ElementType
  private let lanes: Int
  private let math: LaneMath
  private let bits16: IRType

  init(_ ir: IRBuilder, _ type: ElementType, lanes: Int) {
    (self.ir, self.type, self.lanes) = (ir, type, lanes)
    math = LaneMath(ir, .single, lanes: lanes)
    bits16 = ir.lanes(ir.int16, lanes)
  }

  /// The `float` that is the same number.
  func widened(_ x: IRValue) -> IRValue {
    if type == .bfloat16 { return math.asFloat(ir.shl(ir.zext(x, math.bitsType), math.bits(16))) }
    if ir.hasHalfConversions { return ir.fpext(ir.bitcast(x, ir.lanes(ir.half, lanes)), math.type) }
    let bits = ir.zext(x, math.bitsType)
    let magnitude = ir.shl(ir.and(bits, math.bits(0x7FFF)), math.bits(13))
    // The exponents' biases differ by 112; multiplying shifts the leading digit of subnormal numbers to its place as well.
    let scaled = math.asBits(ir.fmul(math.asFloat(magnitude), math.constant(0x1p112)))
    let isFinite = ir.compare(martlet_llvm_int_ult, magnitude, math.bits(0x0F80_0000))
    let number = ir.select(isFinite, scaled, ir.or(scaled, math.bits(0x7F80_0000)))
    return math.asFloat(ir.or(number, ir.shl(ir.and(bits, math.bits(0x8000)), math.bits(16))))
  }

  /// The nearest number of 16 bits to a `float`.
  func narrowed(_ x: IRValue) -> IRValue {
    if type == .bfloat16 { return bfloat16(x) }
    if ir.hasHalfConversions { return ir.bitcast(ir.fptrunc(x, ir.lanes(ir.half, lanes)), bits16) }
    return float16(x)
  }

  private func bfloat16(_ x: IRValue) -> IRValue {
    let bits = math.asBits(x)
    let upper = ir.lshr(bits, math.bits(16))
    let isOdd = ir.and(upper, math.bits(1))
    let rounded = ir.lshr(ir.add(ir.add(bits, math.bits(0x7FFF)), isOdd), math.bits(16))
    return ir.trunc(ir.select(math.isNaN(x), ir.or(upper, math.bits(0x40)), rounded), bits16)
  }

  private func float16(_ x: IRValue) -> IRValue {
    let bits = math.asBits(x)
    let magnitude = ir.and(bits, math.bits(0x7FFF_FFFF))
    let sign = ir.lshr(ir.and(bits, math.bits(0x8000_0000)), math.bits(16))
    // Rebiased by −112 in the exponent, and rounded at the 13 bits that go.
    let isOdd = ir.and(ir.lshr(magnitude, math.bits(13)), math.bits(1))
    let normal = ir.lshr(ir.add(ir.add(magnitude, math.bits(0xFFF - 112 << 23)), isOdd), math.bits(13))
    // The last digit of a sum with 1/2 is 2⁻²⁴, as that of subnormal numbers is.
    let sum = math.asBits(ir.fadd(math.asFloat(magnitude), math.constant(0.5)))
    let subnormal = ir.sub(sum, math.bits(0x3F00_0000))
    let isNormal = ir.compare(martlet_llvm_int_uge, magnitude, math.bits(0x3880_0000))
    let isLarge = ir.compare(martlet_llvm_int_uge, magnitude, math.bits(0x4780_0000))
    let special = ir.select(math.isNaN(x), math.bits(0x7E00), math.bits(0x7C00))
    let number = ir.select(isLarge, special, ir.select(isNormal, normal, subnormal))
    return ir.trunc(ir.or(number, sign), bits16)
  }
}
