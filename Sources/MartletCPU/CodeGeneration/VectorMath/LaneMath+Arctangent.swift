/// The arctangent.
///
/// With a = |x|, atan a = offset + atan t, where t is a, (a − 1) / (a + 1) or −1 / a and the offset 0, π/4 or π/2, whichever has
/// |t| ≤ 1/2; and atan t = t + t³ · q(t²), the fits "atan …" of Scripts/minimax.py. The offset is taken in two parts.
extension LaneMath {
  private static let atanSingle = [
    -0.333333283662796, 0.19999556243419647, -0.14273150265216827, 0.10948839038610458, -0.08010833710432053,
    0.03906774893403053,
  ]
  private static let atanDouble = [
    -0.33333333333333315, 0.19999999999993825, -0.1428571428500689, 0.11111111070547464, -0.09090907721267025,
    0.07692277946037832, -0.06666228823716731, 0.05877847947709351, -0.052302314271885315, 0.04590245912168573,
    -0.03713765364604705, 0.02368126386137039, -0.008381847500471136,
  ]
  /// π/2 as a sum of two numbers.
  private static let halfPiSingle = (1.5707963705062866, -4.371139000186243e-08)
  private static let halfPiDouble = (1.5707963267948966, 6.123233995736766e-17)

  func atan(_ x: IRValue) -> IRValue {
    let a = absolute(x)
    let isMiddle = less(constant(0.5), a)
    let isGreat = less(constant(2), a)
    let numerator = ir.select(isGreat, constant(-1), ir.select(isMiddle, sub(a, constant(1)), a))
    let denominator = ir.select(isGreat, a, ir.select(isMiddle, add(a, constant(1)), constant(1)))
    let t = div(numerator, denominator)
    let z = mul(t, t)
    let inner = fma(mul(t, z), polynomial(z, isSingle ? Self.atanSingle : Self.atanDouble), t)
    let (high, low) = isSingle ? Self.halfPiSingle : Self.halfPiDouble
    let share = ir.select(isGreat, constant(1), ir.select(isMiddle, constant(0.5), constant(0)))
    return copySign(fma(share, constant(high), fma(share, constant(low), inner)), x)
  }
}
