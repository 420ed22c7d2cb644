import CMartletRuntime

/// eˣ, eˣ − 1 and what is made of them.
///
/// With n = round(x / log 2) and r = x − n · log 2, |r| ≤ log 2 / 2, by Cody and Waite's two-step reduction, eˣ = 2ⁿ · eʳ and
/// eʳ = 1 + r + r² q(r). The polynomials q are the fits "exp …", "expm1 …" and "tanh …" of Scripts/minimax.py.
extension LaneMath {
  private static let expSingle = [
    0.4999999403953552, 0.1666652113199234, 0.04166826605796814, 0.00836868491023779, 0.0013820808380842209,
  ]
  private static let expDouble = [
    0.5000000000000011, 0.1666666666666643, 0.041666666666526964, 0.00833333333348361, 0.0013888888944345033,
    0.0001984126952941609, 2.4801492442198162e-05, 2.7557566701327623e-06, 2.763046319715968e-07,
    2.5006021614108458e-08,
  ]
  private static let expm1Single = [
    0.5, 0.1666666716337204, 0.041666485369205475, 0.008333200588822365, 0.0013933030422776937, 0.000199510992388241,
  ]
  private static let expm1Double = [
    0.5, 0.16666666666666677, 0.04166666666666668, 0.00833333333332145, 0.0013888888888877098, 0.00019841269886532593,
    2.4801587341914435e-05, 2.7557243836326855e-06, 2.7557257598621226e-07, 2.510915830358913e-08,
    2.0920147767971954e-09,
  ]

  private static let tanhSingle = [
    -0.33333319425582886, 0.13332636654376984, -0.053856849670410156, 0.02108830027282238, -0.006295622792094946,
  ]
  private static let tanhDouble = [
    -0.3333333333333326, 0.13333333333306746, -0.05396825393549962, 0.021869486580318877,
    -0.008863170767512777, 0.00359087405149633, -0.0014416572225408539, 0.0005024628464332816,
  ]

  /// A number that, added to one much smaller, leaves that one rounded to an integer in the lowest bits.
  var roundingShift: Double { isSingle ? 0x1.8p23 : 0x1.8p52 }

  /// x = n · log 2 + r with |r| ≤ log 2 / 2; n as an integer and as a float.
  func reduceByLog2(_ x: IRValue) -> (n: IRValue, float: IRValue, r: IRValue) {
    let (high, low) =
      isSingle ? (0.6931471824645996, -1.9046542121259336e-09) : (0.6931471805599453, 2.3190468138462996e-17)
    let shift = constant(roundingShift)
    let shifted = fma(x, constant(1.4426950408889634), shift)
    let n = sub(shifted, shift)
    let r = fnma(n, constant(low), fnma(n, constant(high), x))
    return (ir.sub(asBits(shifted), asBits(shift)), n, r)
  }

  /// 2ⁿ for an exponent of a normal number.
  func powerOfTwo(_ n: IRValue) -> IRValue {
    asFloat(ir.shl(ir.add(n, bits(exponentBias)), bits(fractionBits)))
  }

  /// x · 2ⁿ, rounded once where the result is denormal; n, given as an integer and as a float, may be twice what an exponent can be.
  func scale(_ x: IRValue, by n: IRValue, _ float: IRValue) -> IRValue {
    if ir.hasScaling, lanes == (isSingle ? 16 : 8) {
      // One instruction (VSCALEF) in the place of nine, with the same bits.
      let mask = ir.constant(-1, isSingle ? ir.int16 : ir.int8)
      let currentRounding = ir.constant(4, ir.int32)
      return ir.intrinsic(
        "llvm.x86.avx512.mask.scalef.p\(isSingle ? "s" : "d").512", [], [x, float, x, mask, currentRounding])
    }
    let half = ir.ashr(n, bits(1))
    return mul(mul(x, powerOfTwo(half)), powerOfTwo(ir.sub(n, half)))
  }

  /// eʳ − 1 for the reduced argument.
  private func expm1Reduced(_ r: IRValue) -> IRValue {
    fma(mul(r, r), polynomial(r, isSingle ? Self.expm1Single : Self.expm1Double), r)
  }

  /// eʳ for the reduced argument.
  func expReduced(_ r: IRValue) -> IRValue {
    let one = constant(1)
    return fma(r, fma(r, polynomial(r, isSingle ? Self.expSingle : Self.expDouble), one), one)
  }

  func exp(_ x: IRValue) -> IRValue {
    // Beyond these bounds results are 0 and ∞, and rounding makes them so.
    let bounded = atLeast(atMost(x, isSingle ? 89.5 : 710.5), isSingle ? -105 : -746)
    let (n, float, r) = reduceByLog2(bounded)
    return scale(expReduced(r), by: n, float)
  }

  /// eˣ where neither it nor 2ⁿ is denormal or infinite.
  func expInner(_ x: IRValue) -> IRValue {
    let (n, _, r) = reduceByLog2(x)
    return mul(expReduced(r), powerOfTwo(n))
  }

  func expm1(_ x: IRValue) -> IRValue {
    let bounded = atLeast(atMost(x, isSingle ? 88.9 : 709.9), isSingle ? -25 : -45)
    let (n, _, r) = reduceByLog2(bounded)
    let inner = expm1Reduced(r)
    // With half the power of two, which could overflow; for n = 0 that would cost denormals a bit.
    let half = powerOfTwo(ir.sub(n, bits(1)))
    let scaled = fma(inner, half, sub(half, constant(0.5)))
    let isInner = ir.compare(martlet_llvm_int_eq, n, bits(0))
    return copySign(ir.select(isInner, inner, add(scaled, scaled)), x)
  }

  /// (e²ᵃ − 1) / (e²ᵃ + 1) for a = |x|; beyond 9.1 (single) or 19.1 (double) it rounds to 1. For small x, where the quotient loses
  /// more, x + x³ q(x²).
  func tanh(_ x: IRValue) -> IRValue {
    let bounded = atMost(absolute(x), isSingle ? 9.1 : 19.1)
    let (n, _, r) = reduceByLog2(add(bounded, bounded))
    let power = powerOfTwo(n)
    let excess = fma(expm1Reduced(r), power, sub(power, constant(1)))
    let outer = div(excess, add(excess, constant(2)))
    let square = mul(bounded, bounded)
    let cubic = mul(square, polynomial(square, isSingle ? Self.tanhSingle : Self.tanhDouble))
    let inner = fma(bounded, cubic, bounded)
    return copySign(ir.select(less(bounded, constant(isSingle ? 0.55 : 0.3)), inner, outer), x)
  }

  /// 1 / (1 + e⁻ˣ), and for negative x the same as eˣ / (1 + eˣ), which keeps small results exact.
  func sigmoid(_ x: IRValue) -> IRValue {
    let power = exp(ir.fneg(absolute(x)))
    let numerator = ir.select(less(x, constant(0)), power, constant(1))
    return div(numerator, add(power, constant(1)))
  }
}
