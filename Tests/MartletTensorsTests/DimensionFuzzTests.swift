import MartletTensors
import Testing

/// Random expressions, built as a dimension and as a function of the symbols' values side by side.
@Suite struct DimensionFuzzTests {
  typealias Values = [Int]

  struct Expression {
    var dimension: Dimension
    /// The value by plain integer arithmetic, or nil where some divisor is zero.
    var value: (Values) -> Int?
  }

  static let symbols = ["a", "b", "c"].map { Dimension.symbol(named: $0) }

  static func floorDivide(_ a: Int, _ b: Int) -> Int? {
    guard b != 0 else { return nil }
    return Int((Double(a) / Double(b)).rounded(.down))
  }

  static func expression(depth: Int, _ random: inout SplitMix64) -> Expression {
    if depth == 0 || Int.random(in: 0..<8, using: &random) == 0 {
      if Bool.random(using: &random) {
        let constant = Int.random(in: -6...6, using: &random)
        return Expression(dimension: Dimension(constant)) { _ in constant }
      }
      let index = Int.random(in: 0..<symbols.count, using: &random)
      return Expression(dimension: symbols[index]) { $0[index] }
    }
    let a = expression(depth: depth - 1, &random)
    let b = expression(depth: depth - 1, &random)
    func combine(_ dimension: Dimension, _ function: @escaping (Int, Int) -> Int?) -> Expression {
      Expression(dimension: dimension) { values in
        guard let x = a.value(values), let y = b.value(values) else { return nil }
        return function(x, y)
      }
    }
    switch Int.random(in: 0..<9, using: &random) {
    case 0, 1: return combine(a.dimension + b.dimension) { $0 + $1 }
    case 2: return combine(a.dimension - b.dimension) { $0 - $1 }
    case 3: return combine(a.dimension * b.dimension) { $0 * $1 }
    case 4: return combine(a.dimension.floorDivided(by: b.dimension), floorDivide)
    case 5:
      return combine(a.dimension.ceilDivided(by: b.dimension)) { x, y in floorDivide(-x, y).map { -$0 } }
    case 6: return combine(a.dimension.modulo(b.dimension)) { x, y in floorDivide(x, y).map { x - y * $0 } }
    case 7: return combine(a.dimension.min(b.dimension)) { Swift.min($0, $1) }
    default: return combine(a.dimension.max(b.dimension)) { Swift.max($0, $1) }
    }
  }

  @Test(arguments: 0..<40) func normalFormKeepsTheValue(seed: UInt64) {
    var random = SplitMix64(seed: seed)
    for _ in 0..<50 {
      let expression = Self.expression(depth: 4, &random)
      for _ in 0..<10 {
        let values = Self.symbols.map { _ in Int.random(in: -9...9, using: &random) }
        guard let expected = expression.value(values), expected.magnitude < 1 << 50 else { continue }
        let assignment = Dictionary(uniqueKeysWithValues: zip(Self.symbols.map { $0.symbol! }, values))
        let found = expression.dimension.evaluated(assignment)
        #expect(found == expected, "seed \(seed): \(expression.dimension) at \(values)")
        let replaced = expression.dimension.substituting(assignment.mapValues(Dimension.init(_:)))
        #expect(replaced.known == expected, "seed \(seed): \(expression.dimension) at \(values)")
      }
    }
  }

  @Test(arguments: 0..<40) func exactQuotientsMultiplyBack(seed: UInt64) throws {
    var random = SplitMix64(seed: seed ^ 0xD1B5)
    for _ in 0..<50 {
      let a = Self.expression(depth: 3, &random).dimension
      let b = Self.expression(depth: 3, &random).dimension
      let product = a * b
      if let quotient = a.exactlyDivided(by: b) {
        #expect(quotient * b == a, "seed \(seed): \(a) by \(b)")
      }
      guard b != 0, product.terms.count <= 64 else { continue }
      let quotient = try #require(product.exactlyDivided(by: b), "seed \(seed): \(a) times \(b)")
      #expect(quotient == a, "seed \(seed): \(a) times \(b)")
    }
  }

  @Test(arguments: 0..<20) func sumsAndProductsCommute(seed: UInt64) {
    var random = SplitMix64(seed: seed ^ 0x5EED)
    for _ in 0..<50 {
      let a = Self.expression(depth: 3, &random).dimension
      let b = Self.expression(depth: 3, &random).dimension
      let c = Self.expression(depth: 2, &random).dimension
      #expect(a + b == b + a)
      #expect(a * b == b * a)
      #expect((a + b) + c == a + (b + c), "seed \(seed): \(a), \(b), \(c)")
      #expect(a - b + b == a, "seed \(seed): \(a), \(b)")
      #expect((a * c == a * c) && (a + b).hashValue == (b + a).hashValue)
    }
  }
}
