import CMartletRuntime

/// xʸ, with every special case of IEEE 754's pow.
///
/// |x|ʸ = e^(y · log |x|). In single precision that is computed in double precision, with logarithm and power to base 2. In double
/// precision the logarithm is a sum of two doubles with about 64 bits, and so is its product with y. As for `log`, x = 2ᵏ · m,
/// s = (m − 1) / (m + 1), and log m = 2 s + s³ (2/3 + s² q(s²)). The polynomials are the fits "… pow" of Scripts/minimax.py.
extension LaneMath {
  private static let log2 = [
    2.8853900817778473, 0.9617966941192245, 0.5770779405030123, 0.4122094533648512, 0.3198969725634003,
    0.2830311457950915,
  ]
  private static let exp2 = [
    0.9999999999616498, 0.6931471807288423, 0.24022651198717168, 0.055504103524323056, 0.00961802716449532,
    0.0013333923918980013, 0.00015469329703159698, 1.5201615021014296e-05,
  ]
  private static let log = [
    0.39999999999999997, 0.28571428571433094, 0.22222222220360202, 0.1818181853691358, 0.1538457870765896,
    0.1333551179421662, 0.11690494206188938, 0.11863869509732927,
  ]

  func power(_ x: IRValue, _ y: IRValue) -> IRValue {
    let magnitude = isSingle ? singleMagnitude(absolute(x), y) : doubleMagnitude(absolute(x), y)
    let (zero, one) = (constant(0), constant(1))
    // 1ʸ is 1, for (−1)^±∞ too; NaN to the power of 0 and 1 to that of NaN are 1.
    let isUnit = ir.and(equal(absolute(x), one), equal(y, y))
    let isOne = ir.or(ir.or(isUnit, equal(y, zero)), equal(x, one))
    let result = ir.select(isOne, one, magnitude)
    // A negative x needs an integer y; an odd one keeps the sign.
    let half = mul(y, constant(0.5))
    let isInteger = equal(call("llvm.floor", y), y)
    let isOdd = ir.and(isInteger, ir.compare(martlet_llvm_real_une, call("llvm.floor", half), half))
    let isInvalid = ir.and(
      ir.and(less(x, zero), less(constant(-.infinity), x)),
      ir.and(ir.not(isInteger), equal(y, y)))
    let signed = ir.select(isOdd, copySign(result, x), result)
    return ir.select(isInvalid, constant(.nan), signed)
  }

  // MARK: Single precision

  /// xʸ for x ≥ 0, but for the cases with result 1 that have no logarithm.
  private func singleMagnitude(_ x: IRValue, _ y: IRValue) -> IRValue {
    let wide = double
    let (x, y) = (ir.fpext(x, wide.type), ir.fpext(y, wide.type))
    let (k, m) = wide.splitExponent(x)
    let s = wide.div(wide.sub(m, wide.constant(1)), wide.add(m, wide.constant(1)))
    let fraction = wide.mul(s, wide.polynomial(wide.mul(s, s), Self.log2))
    let logarithm = wide.limits(of: x, wide.add(ir.sitofp(k, wide.type), fraction))
    let exponent = wide.atLeast(wide.atMost(wide.mul(y, logarithm), 200), -200)
    let shift = wide.constant(wide.roundingShift)
    let shifted = wide.add(exponent, shift)
    let power = wide.polynomial(wide.sub(exponent, wide.sub(shifted, shift)), Self.exp2)
    let n = ir.sub(wide.asBits(shifted), wide.asBits(shift))
    return ir.fptrunc(wide.mul(power, wide.powerOfTwo(n)), type)
  }

  /// The logarithm of x ≥ 0, given what it is for positive, finite x.
  private func limits(of x: IRValue, _ logarithm: IRValue) -> IRValue {
    let isInner = ir.and(less(constant(0), x), less(x, constant(.infinity)))
    return ir.select(isInner, logarithm, ir.select(equal(x, constant(0)), constant(-.infinity), x))
  }

  // MARK: Double precision

  /// high + low, where |x| ≥ |y| or x is 0.
  private func sum(_ x: IRValue, _ y: IRValue) -> (high: IRValue, low: IRValue) {
    let high = add(x, y)
    return (high, add(sub(x, high), y))
  }

  /// The product of two sums, the low parts only to first order.
  private func product(_ x: (high: IRValue, low: IRValue), _ y: (high: IRValue, low: IRValue)) -> (
    high: IRValue, low: IRValue
  ) {
    let high = mul(x.high, y.high)
    let rounding = fma(x.high, y.high, ir.fneg(high))
    return (high, add(rounding, fma(x.high, y.low, mul(x.low, y.high))))
  }

  private func doubleMagnitude(_ x: IRValue, _ y: IRValue) -> IRValue {
    let logarithm = doubleLogarithm(x)
    let high = mul(y, logarithm.high)
    let low = fma(y, logarithm.low, fma(y, logarithm.high, ir.fneg(high)))
    let bounded = atLeast(atMost(high, 710.5), -746)
    // Where the bound is reached, or there is no number, the low part means nothing.
    let isInner = equal(bounded, high)
    let (n, float, r) = reduceByLog2(bounded)
    return scale(expReduced(add(r, ir.select(isInner, low, constant(0)))), by: n, float)
  }

  /// log x as the sum of two doubles, for x ≥ 0.
  private func doubleLogarithm(_ x: IRValue) -> (high: IRValue, low: IRValue) {
    let one = constant(1)
    let (normal, exponent) = normalized(x)
    let (k, m) = splitExponent(normal)
    let f = sub(m, one)
    let below = sum(one, m)
    let sHigh = div(f, below.high)
    let remainder = fnma(sHigh, below.low, fnma(sHigh, below.high, f))
    let s = (high: sHigh, low: div(remainder, below.high))
    let z = product(s, s)
    let tail = mul(z.high, polynomial(z.high, Self.log))
    let leading = sum(constant(0.6666666666666666), tail)
    let cubic = product(s, product(z, (leading.high, add(leading.low, constant(3.700743415417188e-17)))))
    let twice = (high: add(s.high, s.high), low: add(s.low, s.low))
    let inner = sum(twice.high, cubic.high)
    let innerLow = add(inner.low, add(twice.low, cubic.low))
    let exponentValue = ir.sitofp(ir.add(k, exponent), type)
    // The first part of log 2 has 42 bits, so that its product with k is exact.
    let whole = sum(mul(exponentValue, constant(0.6931471805598903)), inner.high)
    let low = add(whole.low, fma(exponentValue, constant(5.497923018708371e-14), innerLow))
    let result = sum(whole.high, low)
    let high = limits(of: x, result.high)
    return (high, ir.select(equal(high, result.high), result.low, constant(0)))
  }
}
