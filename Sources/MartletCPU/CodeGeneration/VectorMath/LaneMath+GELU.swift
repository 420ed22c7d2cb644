/// x · Φ(x), Φ being the normal distribution, in single precision.
///
/// With a = |x| this is max(x, 0) − a · Φ(−a), and Φ(−a) is 2 to the power of a polynomial. Both polynomials are fits of
/// Scripts/minimax.py, "normal tail single" and "exp2 single". ½ · x · (1 + erf(x / √2)) takes thrice the instructions, since an
/// error function is right near 0 too.
extension LaneMath {
  private static let normalTail = [
    -0.9999997615814209, -1.1511166095733643, -0.45911505818367004, -0.05277642235159874, 0.007465551607310772,
    -0.0004416746087372303, -6.173610017867759e-05, 1.3632775335281622e-05, -7.292251780199877e-07,
  ]
  private static let exp2Single = [
    1.0, 0.6931471824645996, 0.24022647738456726, 0.05550359562039375, 0.009618501178920269, 0.0013390996027737856,
    0.00015328613517340273,
  ]

  /// The error is less than 1.5e-7 · max(|x|, ½), and the result for −∞ is about 0.
  func gelu(_ x: IRValue) -> IRValue {
    // From there on the tail is less than 2⁻⁶², and the polynomial is no longer right.
    let magnitude = atMost(absolute(x), 9)
    let tail = exp2(polynomial(magnitude, Self.normalTail))
    return fnma(magnitude, tail, atLeast(x, 0))
  }

  /// 2ˣ where it is a normal number.
  private func exp2(_ x: IRValue) -> IRValue {
    let shift = constant(roundingShift)
    let shifted = add(x, shift)
    let power = polynomial(sub(x, sub(shifted, shift)), Self.exp2Single)
    // Of the shift itself no bit is left.
    return asFloat(ir.add(asBits(power), ir.shl(asBits(shifted), bits(fractionBits))))
  }
}
