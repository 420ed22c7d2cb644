import MartletLoopIR
import MartletTensors

/// The bases in which a few results of a convolution by a few weights, seven in all, take six products (Toom and Cook;
/// Winograd): four results by three weights, two by five.
///
/// Inputs d, weights g and results y are moved between the values of polynomials at the points 0, ±p, ±q and ∞ and their
/// coefficients: y = Aᵀ((G g) ⊙ (Bᵀ d)). With p = 5/8 and q = 3/2 the factors of Bᵀ and Aᵀ are exact in float32 and of a
/// similar size, and errors half of those with the customary points 1 and 2: over 256 channels about twice the direct
/// sum's.
struct WinogradBasis: Hashable, Sendable {
  /// The products along each axis: one for each point.
  static let products = 6

  /// The weights and the results of a tile along each axis.
  let weights: Int
  var results: Int { Self.products + 1 - weights }

  private static let (p, q) = (0.625, 1.5)

  /// Nil for filters with too many weights, or too few to gain.
  init?(weights: Int) {
    guard (3...5).contains(weights) else { return nil }
    self.weights = weights
  }

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

  /// G g: the values at the points of a polynomial with the coefficients g, which are weights or, for the gradient of
  /// a filter, the gradients of results.
  static func values(_ b: inout ScalarBuilder, _ g: [Scalar]) -> [Scalar] {
    func inner(_ p: Double, _ q: Double) -> (Scalar, Scalar) {
      var (power, even, odd) = (1 / (2 * p * p * (p * p - q * q)), [(Double, Scalar)](), [(Double, Scalar)]())
      for (i, coefficient) in g.enumerated() {
        if i % 2 == 0 { even.append((power, coefficient)) } else { odd.append((power, coefficient)) }
        power *= p
      }
      let (evenSum, oddSum) = (b.sum(even), b.sum(odd))
      return (b.add(evenSum, oddSum), b.subtract(evenSum, oddSum))
    }
    let (first, second) = (inner(p, q), inner(q, p))
    let zero = b.multiply(b.constant(1 / (p * p * q * q), .float32), g[0])
    return [zero, first.0, first.1, second.0, second.1, g[g.count - 1]]
  }

  /// Aᵀ m: from six products to `count` results or, for the gradient of a filter, weights.
  static func sums(_ b: inout ScalarBuilder, _ m: [Scalar], count: Int) -> [Scalar] {
    let (sumP, sumQ) = (b.add(m[1], m[2]), b.add(m[3], m[4]))
    let (differenceP, differenceQ) = (b.subtract(m[1], m[2]), b.subtract(m[3], m[4]))
    var (powerP, powerQ, sums) = (1.0, 1.0, [b.add(m[0], b.add(sumP, sumQ))])
    for i in 1..<count {
      (powerP, powerQ) = (powerP * p, powerQ * q)
      let sum =
        i % 2 == 0 ? b.sum([(powerP, sumP), (powerQ, sumQ)]) : b.sum([(powerP, differenceP), (powerQ, differenceQ)])
      sums.append(i == count - 1 ? b.add(sum, m[5]) : sum)
    }
    return sums
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
