import CMartletRuntime

/// sin x, cos x, tan x.
///
/// With n = round(x · 2/π), r = x − n · π/2, and sine and cosine of r ≤ π/4 by polynomials in r², the fits "sin …" and
/// "cos …" of Scripts/minimax.py. The reduction takes π/2 in two or three parts, each step a fused multiplication, in double
/// precision for either type; the first step is exact. From 2³⁹ on lanes are computed one by one by the C library.
extension LaneMath {
  private static let sinSingle = [-0.16666655242443085, 0.008332191035151482, -0.00019518579938448966]
  private static let cosSingle = [0.04166664555668831, -0.001388730714097619, 2.4431828933302313e-05]
  private static let sinDouble = [
    -0.16666666666666632, 0.008333333333322472, -0.00019841269829834953, 2.755731369685697e-06,
    -2.5050758378509086e-08, 1.5896787771269548e-10,
  ]
  private static let cosDouble = [
    0.0416666666666666, -0.0013888888888874459, 2.4801587289654596e-05, -2.7557314394362116e-07, 2.087572816297557e-09,
    -1.1359866139231784e-11,
  ]
  private static let halfPi = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)

  /// An argument reduced to r + rest, |r| ≤ π/4, and the quarter turns taken away, of which two bits count.
  private struct Reduced {
    var quarters: IRValue
    var r: IRValue
    var rest: IRValue?
  }

  private func reduceByHalfPi(_ x: IRValue) -> Reduced {
    let wide = double
    let shift = wide.constant(wide.roundingShift)
    let argument = isSingle ? ir.fpext(x, wide.type) : x
    let shifted = wide.fma(argument, wide.constant(0.6366197723675814), shift)
    let n = wide.sub(shifted, shift)
    let first = wide.fnma(n, wide.constant(Self.halfPi.0), argument)
    let quarters = wide.asBits(shifted)
    let middle = wide.constant(Self.halfPi.1)
    if isSingle { return Reduced(quarters: quarters, r: wide.fnma(n, middle, first), rest: nil) }
    // The difference of `first` and the exact product as a sum of two numbers. Source: D. Knuth, TAOCP 4.2.2, TwoSum.
    let product = mul(n, middle)
    let r = sub(first, product)
    let taken = sub(r, first)
    let rounding = sub(sub(first, sub(r, taken)), add(product, taken))
    let productRest = fma(n, middle, ir.fneg(product))
    let rest = sub(rounding, fma(n, constant(Self.halfPi.2), productRest))
    return Reduced(quarters: quarters, r: r, rest: rest)
  }

  private func sinReduced(_ r: IRValue, _ rest: IRValue?) -> IRValue {
    let z = mul(r, r)
    let cubic = mul(mul(r, z), polynomial(z, isSingle ? Self.sinSingle : Self.sinDouble))
    guard let rest else { return add(r, cubic) }
    return add(r, fma(rest, fnma(constant(0.5), z, constant(1)), cubic))
  }

  private func cosReduced(_ r: IRValue, _ rest: IRValue?) -> IRValue {
    let z = mul(r, r)
    let half = mul(z, constant(0.5))
    let first = sub(constant(1), half)
    // What rounding 1 − z/2 lost.
    let lost = sub(sub(constant(1), first), half)
    var higher = mul(mul(z, z), polynomial(z, isSingle ? Self.cosSingle : Self.cosDouble))
    if let rest { higher = fnma(r, rest, higher) }
    return add(first, add(lost, higher))
  }

  /// Whether the lowest bit is set, and the bit above it as the sign of a float, both from a count of quarter turns.
  private func quadrant(_ quarters: IRValue) -> (isOdd: IRValue, sign: IRValue) {
    let isOdd = ir.compare(martlet_llvm_int_ne, ir.and(quarters, bits(1)), bits(0))
    let sign = ir.shl(ir.and(quarters, bits(2)), bits(isSingle ? 30 : 62))
    return (isOdd, sign)
  }

  private func sinOrCos(_ x: IRValue, plusQuarters: Int64) -> IRValue {
    let reduced = reduceByHalfPi(x)
    let r = isSingle ? ir.fptrunc(reduced.r, type) : reduced.r
    var quarters = isSingle ? ir.trunc(reduced.quarters, bitsType) : reduced.quarters
    if plusQuarters > 0 { quarters = ir.add(quarters, bits(plusQuarters)) }
    let (isOdd, sign) = quadrant(quarters)
    let value = ir.select(isOdd, cosReduced(r, reduced.rest), sinReduced(r, reduced.rest))
    return asFloat(ir.xor(asBits(value), sign))
  }

  func sin(_ x: IRValue) -> IRValue {
    // The sum r + r³ q loses the sign of a zero.
    let inner = ir.select(equal(x, constant(0)), x, sinOrCos(x, plusQuarters: 0))
    return laneByLane(x, inner, "sin")
  }

  func cos(_ x: IRValue) -> IRValue { laneByLane(x, sinOrCos(x, plusQuarters: 1), "cos") }

  func tan(_ x: IRValue) -> IRValue {
    let wide = double
    let reduced = reduceByHalfPi(x)
    let (isOdd, _) = wide.quadrant(reduced.quarters)
    let (sine, cosine) = (wide.sinReduced(reduced.r, reduced.rest), wide.cosReduced(reduced.r, reduced.rest))
    let quotient = wide.div(ir.select(isOdd, ir.fneg(cosine), sine), ir.select(isOdd, sine, cosine))
    let inner = isSingle ? ir.fptrunc(quotient, type) : quotient
    return laneByLane(x, ir.select(equal(x, constant(0)), x, inner), "tan")
  }

  /// `result`, but with a function of the C library called for the lanes whose finite argument is too great for the reduction.
  private func laneByLane(
    _ x: IRValue, _ result: IRValue, _ function: String
  ) -> IRValue {
    let magnitude = absolute(x)
    let isGreat = ir.and(
      ir.compare(martlet_llvm_real_oge, magnitude, constant(0x1p39)), less(magnitude, constant(.infinity)))
    let any = lanes == 1 ? isGreat : ir.intrinsic("llvm.vector.reduce.or", [ir.type(of: isGreat)], [isGreat])
    let (before, header, after) = (ir.block, ir.block("great"), ir.block("greatEnd"))
    ir.branch(if: any, header, else: after)
    ir.position(at: header)
    let (lane, current) = (ir.phi(ir.int32), ir.phi(type))
    let argument = lanes == 1 ? x : ir.extract(x, lane)
    let called = ir.call(
      external: function, ir.double, [ir.double], [isSingle ? ir.fpext(argument, ir.double) : argument])
    let value = isSingle ? ir.fptrunc(called, ir.float) : called
    var next = value
    if lanes > 1 {
      let inserted: IRValue = ir.llvm.pointee.BuildInsertElement(ir.builder, current, value, lane, "")!
      next = ir.select(ir.extract(isGreat, lane), inserted, current)
    }
    let following = ir.add(lane, ir.constant(1, ir.int32))
    ir.branch(
      if: ir.compare(martlet_llvm_int_slt, following, ir.constant(Int64(lanes), ir.int32)), header, else: after)
    ir.addIncoming(lane, ir.constant(0, ir.int32), from: before)
    ir.addIncoming(lane, following, from: header)
    ir.addIncoming(current, result, from: before)
    ir.addIncoming(current, next, from: header)
    ir.position(at: after)
    let merged = ir.phi(type)
    ir.addIncoming(merged, result, from: before)
    ir.addIncoming(merged, next, from: header)
    return merged
  }
}
