import MartletLoopIR
import MartletTensors

/// The bases in which four results of a convolution by three weights take six products (Toom and Cook; Winograd).
///
/// Inputs d, weights g and results y are moved between the values of polynomials at the points 0, ±p, ±q and ∞ and their
/// coefficients: y = Aᵀ((G g) ⊙ (Bᵀ d)). With p = 5/8 and q = 3/2 the factors of Bᵀ and Aᵀ are exact in float32 and of a
/// similar size, and errors half of those with the customary points 1 and 2: over 256 channels about twice the direct
/// sum's.
enum WinogradBasis {
  /// The results of a tile, the weights, and the products for them, along each axis.
  static let results = 4
  static let weights = 3
  static let products = 6

  private static let (p, q) = (0.625, 1.5)

  /// Bᵀ d of six inputs.
  static func input(_ b: inout ScalarBuilder, _ d: [Scalar]) -> [Scalar] {
    let (p2, q2) = (p * p, q * q)
    func outer(_ i: Int) -> Scalar { b.sum([(p2 * q2, d[i]), (-(p2 + q2), d[i + 2]), (1, d[i + 4])]) }
    func inner(_ p: Double, _ q2: Double) -> (Scalar, Scalar) {
      let even = b.sum([(-q2, d[2]), (1, d[4])])
      let odd = b.sum([(-p * q2, d[1]), (p, d[3])])
      return (b.add(even, odd), b.subtract(even, odd))
    }
    let (first, second) = (inner(p, q2), inner(q, p2))
    return [outer(0), first.0, first.1, second.0, second.1, outer(1)]
  }

  /// G g of three weights.
  static func filter(_ b: inout ScalarBuilder, _ g: [Scalar]) -> [Scalar] {
    func inner(_ p: Double, _ q: Double) -> (Scalar, Scalar) {
      let scale = 1 / (2 * p * p * (p * p - q * q))
      let even = b.sum([(scale, g[0]), (scale * p * p, g[2])])
      let odd = b.multiply(b.constant(scale * p, .float32), g[1])
      return (b.add(even, odd), b.subtract(even, odd))
    }
    let (first, second) = (inner(p, q), inner(q, p))
    let zero = b.multiply(b.constant(1 / (p * p * q * q), .float32), g[0])
    return [zero, first.0, first.1, second.0, second.1, g[2]]
  }

  /// The same for the gradient of a filter: G g of the gradients of four results …
  static func resultGradient(_ b: inout ScalarBuilder, _ g: [Scalar]) -> [Scalar] {
    func inner(_ p: Double, _ q: Double) -> (Scalar, Scalar) {
      let scale = 1 / (2 * p * p * (p * p - q * q))
      let even = b.sum([(scale, g[0]), (scale * p * p, g[2])])
      let odd = b.sum([(scale * p, g[1]), (scale * p * p * p, g[3])])
      return (b.add(even, odd), b.subtract(even, odd))
    }
    let (first, second) = (inner(p, q), inner(q, p))
    let zero = b.multiply(b.constant(1 / (p * p * q * q), .float32), g[0])
    return [zero, first.0, first.1, second.0, second.1, g[3]]
  }

  /// … and Aᵀ m to those of three weights.
  static func filterGradient(_ b: inout ScalarBuilder, _ m: [Scalar]) -> [Scalar] {
    let (sumP, sumQ) = (b.add(m[1], m[2]), b.add(m[3], m[4]))
    let (differenceP, differenceQ) = (b.subtract(m[1], m[2]), b.subtract(m[3], m[4]))
    return [
      b.add(m[0], b.add(sumP, sumQ)),
      b.sum([(p, differenceP), (q, differenceQ)]),
      b.add(b.sum([(p * p, sumP), (q * q, sumQ)]), m[5]),
    ]
  }

  /// Aᵀ m of six products.
  static func result(_ b: inout ScalarBuilder, _ m: [Scalar]) -> [Scalar] {
    let (sumP, sumQ) = (b.add(m[1], m[2]), b.add(m[3], m[4]))
    let (differenceP, differenceQ) = (b.subtract(m[1], m[2]), b.subtract(m[3], m[4]))
    return [
      b.add(m[0], b.add(sumP, sumQ)),
      b.sum([(p, differenceP), (q, differenceQ)]),
      b.sum([(p * p, sumP), (q * q, sumQ)]),
      b.add(b.sum([(p * p * p, differenceP), (q * q * q, differenceQ)]), m[5]),
    ]
  }
}

extension ScalarBuilder {
  /// The sum of products with constants, the last first.
  fileprivate mutating func sum(_ terms: [(factor: Double, x: Scalar)]) -> Scalar {
    var sum: Scalar?
    for (factor, x) in terms.reversed() {
      if let known = sum {
        sum = multiplyAdd(constant(factor, .float32), x, known)
      } else {
        sum = factor == 1 ? x : multiply(constant(factor, .float32), x)
      }
    }
    return sum ?? constant(0, .float32)
  }
}
