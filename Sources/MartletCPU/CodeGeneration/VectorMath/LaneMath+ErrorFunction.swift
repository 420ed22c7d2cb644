/// The error function.
///
/// For small x, erf x = x + x · q(x²); from there on, with a = |x|, erf a = 1 − e^−p(a), p being a polynomial close to −log(erfc a).
/// Both are fits of Scripts/minimax.py, "erf …" and "erfc …".
extension LaneMath {
  private static let erfSingle = [
    0.12837916612625122, -0.3761262893676758, 0.11283624917268753, -0.02685566432774067, 0.005192212760448456,
    -0.0008047609007917345, 7.988519064383581e-05,
  ]
  private static let erfDouble = [
    0.1283791670955126, -0.3761263890318409, 0.11283791670971083, -0.026866170648080695, 0.0052239776536509444,
    -0.0008548328615530608, 0.00012055389902602428, -1.4926987709862196e-05, 1.6483007302827615e-06,
    -1.6580090116931506e-07, 1.618149119379744e-08, -1.7162904633141788e-09, 1.5596919239390545e-10,
  ]
  private static let erfcSingle = [
    0.00026184186572209, 1.1274058818817139, 0.6376307606697083, 0.10354261845350266, -0.02204148843884468,
    0.00299717765301466, -0.00019128953863400966,
  ]
  private static let erfcDouble = [
    5.028075516331977e-07, 1.1283740898582588, 0.6366436264810909, 0.10270344368526088, -0.0189901863050547,
    -0.00041061818375528867, 0.0019159337980260895, -0.0007706360236284029, 0.00013504615680259835,
    2.0268606083236546e-05, -2.282321727868142e-05, 8.667373496625485e-06, -2.13572592768317e-06, 3.733115880704214e-07,
    -4.642406554539878e-08, 3.93437439563504e-09, -2.0450345857772446e-10, 4.928839139418844e-12,
  ]

  func erf(_ x: IRValue) -> IRValue {
    // Beyond the bound the result rounds to 1.
    let magnitude = atMost(absolute(x), isSingle ? 4 : 6)
    let exponent = polynomial(magnitude, isSingle ? Self.erfcSingle : Self.erfcDouble)
    let outer = sub(constant(1), expInner(ir.fneg(exponent)))
    let square = mul(magnitude, magnitude)
    let inner = fma(magnitude, polynomial(square, isSingle ? Self.erfSingle : Self.erfDouble), magnitude)
    return copySign(ir.select(less(magnitude, constant(isSingle ? 0.96 : 1)), inner, outer), x)
  }
}
