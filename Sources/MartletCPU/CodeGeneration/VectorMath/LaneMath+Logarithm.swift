import CMartletRuntime

/// log x and log(1 + x).
///
/// x = 2ᵏ · m, and with f = m − 1, in single precision log m = f − f² / 2 + f³ q(f) for 2/3 ≤ m < 4/3. In double precision
/// √½ ≤ m < √2 and, as in FDLIBM's e_log.c, with s = f / (2 + f) and h = f² / 2, log m = f − h + s (h + s² q(s²)), from the series of
/// the inverse hyperbolic tangent. The polynomials q are the fits "log …" of Scripts/minimax.py.
extension LaneMath {
  private static let logSingle = [
    0.33333224058151245, -0.24999688565731049, 0.200100377202034, -0.16685476899147034, 0.14010928571224213,
    -0.12114861607551575, 0.13962751626968384, -0.1319333165884018,
  ]
  private static let logDouble = [
    0.6666666666666735, 0.3999999999940974, 0.2857142874354102, 0.22222198448557726, 0.18183571143822297,
    0.153138670321335, 0.14797881050071435,
  ]
  /// log 2 in two parts; k times the first is exact.
  private var log2Parts: (Double, Double) {
    isSingle ? (0x1.62e4p-1, 1.4286068203094173e-06) : (0x1.62e42feep-1, 1.9082149292705877e-10)
  }

  /// x = 2ᵏ · m for positive, finite x that is not denormal; k as an integer.
  func splitExponent(_ x: IRValue) -> (k: IRValue, m: IRValue) {
    let first: Int64 = isSingle ? 0x3f2a_aaab : 0x3fe6_a09e_667f_3bcd
    let offset = ir.sub(asBits(x), bits(first))
    let fraction = ir.and(offset, bits(1 << fractionBits - 1))
    return (ir.ashr(offset, bits(fractionBits)), asFloat(ir.add(fraction, bits(first))))
  }

  /// x, or a denormal x times a power of two, and the exponent of that power with its sign changed.
  func normalized(_ x: IRValue) -> (x: IRValue, exponent: IRValue) {
    let isSmall = less(x, constant(isSingle ? 0x1p-126 : 0x1p-1022))
    let by: Int64 = isSingle ? 23 : 54
    let scaled = mul(x, constant(isSingle ? 0x1p23 : 0x1p54))
    return (ir.select(isSmall, scaled, x), ir.select(isSmall, bits(-by), bits(0)))
  }

  /// k · log 2 + log(1 + f).
  private func logSum(_ k: IRValue, _ f: IRValue) -> IRValue {
    let k = ir.sitofp(k, type)
    let (high, low) = log2Parts
    let square = mul(f, f)
    if isSingle {
      let inner = fma(square, fma(f, polynomial(f, Self.logSingle), constant(-0.5)), mul(k, constant(low)))
      return fma(k, constant(high), add(inner, f))
    }
    let s = div(f, add(f, constant(2)))
    let z = mul(s, s)
    let half = mul(square, constant(0.5))
    let rest = mul(s, fma(z, polynomial(z, Self.logDouble), half))
    let inner = sub(sub(half, fma(k, constant(low), rest)), f)
    return fma(k, constant(high), ir.fneg(inner))
  }

  /// The logarithm of `x`, given what it is for positive, finite x.
  private func withLimits(_ result: IRValue, of x: IRValue) -> IRValue {
    let zero = constant(0)
    let isInner = ir.and(less(zero, x), less(x, constant(.infinity)))
    // What remains: +∞ and NaN are their own logarithms.
    let limit = ir.select(less(x, zero), constant(.nan), x)
    return ir.select(isInner, result, ir.select(equal(x, zero), constant(-.infinity), limit))
  }

  func log(_ x: IRValue) -> IRValue {
    let (normal, exponent) = normalized(x)
    let (k, m) = splitExponent(normal)
    return withLimits(logSum(ir.add(k, exponent), sub(m, constant(1))), of: x)
  }

  /// log u with u = 1 + x, whose rounding error c, scaled as u is, goes into f.
  func log1p(_ x: IRValue) -> IRValue {
    let one = constant(1)
    let u = add(one, x)
    let back = sub(u, one)
    let error = add(sub(one, sub(u, back)), sub(x, back))
    let (k, m) = splitExponent(u)
    // For greater k the error is too small to tell, and 2⁻ᵏ could be denormal.
    let bounded = ir.intrinsic("llvm.smin", [bitsType], [k, bits(isSingle ? 30 : 60)])
    let f = fma(error, powerOfTwo(ir.sub(bits(0), bounded)), sub(m, one))
    return copySign(withLimits(logSum(k, f), of: u), x)
  }
}
