import Foundation

/// Tables for drawing normal numbers by the ziggurat method, in single precision.
///
/// Marsaglia and Tsang, "The Ziggurat Method for Generating Random Variables", 2000. The density exp(-x²/2), x ≥ 0, is
/// covered by 255 rectangles and a base strip with the tail, all of the same area. The right edges x₂₅₅ = r > … > x₁ follow
/// from r and that area. A draw of 23 bits falls under the density at once where it is below `inside` of its layer.
struct NormalZiggurat: Sendable {
  static let shared = NormalZiggurat()

  /// The published right edge r of the base strip for 256 layers.
  static let edge = 3.6541528853610088

  /// For each layer, the length that one unit of a 23-bit draw stands for.
  let unit: [Float]
  /// For each layer, the draws below this are under the density.
  let inside: [UInt32]
  /// For each layer, the density at its right edge.
  let density: [Float]

  private init() {
    func f(_ x: Double) -> Double { exp(-0.5 * x * x) }
    let r = Self.edge
    let area = r * f(r) + (Double.pi / 2).squareRoot() * erfc(r / 2.0.squareRoot())
    // The base strip is as wide as a rectangle of its height and area would be.
    let base = area / f(r)
    var edges = [Double](repeating: 0, count: 256)
    edges[255] = r
    for i in stride(from: 254, through: 1, by: -1) {
      edges[i] = (-2 * log(area / edges[i + 1] + f(edges[i + 1]))).squareRoot()
    }
    let draws = 0x1p23
    unit = (0..<256).map { Float(($0 == 0 ? base : edges[$0]) / draws) }
    density = (0..<256).map { $0 == 0 ? 1 : Float(f(edges[$0])) }
    inside = (0..<256).map { i in
      let share = i == 0 ? r / base : edges[i - 1] / edges[i]
      return UInt32((share * draws).rounded())
    }
  }
}

extension PCG64 {
  /// A number from the standard normal distribution.
  mutating func nextNormal(_ table: borrowing NormalZiggurat) -> Float {
    while true {
      // 8 bits choose the layer, one the sign, 23 the place in the layer.
      let bits = nextHalfWord()
      let layer = Int(bits & 0xFF)
      let draw = bits >> 9 & 0x7F_FFFF
      let magnitude = Float(draw) * table.unit[layer]
      let x = bits >> 8 & 1 == 1 ? -magnitude : magnitude
      if draw < table.inside[layer] { return x }
      if layer == 0 {
        let tail = nextTail()
        return draw >> 8 & 1 == 1 ? -tail : tail
      }
      let (upper, lower) = (table.density[layer - 1], table.density[layer])
      let height = (upper - lower) * nextUniform() + lower
      if Double(height) < exp(-0.5 * Double(x) * Double(x)) { return x }
    }
  }

  /// A normal number beyond the edge of the base strip, by Marsaglia's method of 1964.
  private mutating func nextTail() -> Float {
    let edge = Float(NormalZiggurat.edge)
    let inverse = Float(1 / NormalZiggurat.edge)
    while true {
      let x = -inverse * log1pf(-nextUniform())
      let y = -log1pf(-nextUniform())
      if y + y > x * x { return edge + x }
    }
  }
}
