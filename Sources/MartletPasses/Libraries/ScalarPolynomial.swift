import MartletLoopIR

/// A polynomial of a scalar, at most of third degree, read from the arithmetic of a value.
struct ScalarPolynomial {
  /// The lowest first.
  private(set) var coefficients: [Double]

  private static let highestDegree = 3
  private static let deepest = 8

  /// Nil where a value is no polynomial of `x` whose coefficients are constants of float32.
  init?(_ id: ScalarID, in x: ScalarID, _ arena: ScalarArena) {
    self.init(id, in: x, arena, depth: 0)
  }

  private init(_ coefficients: [Double]) { self.coefficients = coefficients }

  private init?(_ id: ScalarID, in x: ScalarID, _ arena: ScalarArena, depth: Int) {
    let row = arena[id]
    if id == x {
      coefficients = [0, 1]
      return
    }
    if row.operation == .constant, row.type == .float32 {
      coefficients = [Double(Float(bitPattern: UInt32(truncatingIfNeeded: row.payload)))]
      return
    }
    guard depth < Self.deepest, row.operandCount == 2,
      let left = ScalarPolynomial(row.operand(0), in: x, arena, depth: depth + 1),
      let right = ScalarPolynomial(row.operand(1), in: x, arena, depth: depth + 1),
      let result = Self.combined(row.operation, left, right)
    else { return nil }
    self = result
  }

  private static func combined(_ operation: ScalarOperation, _ p: Self, _ q: Self) -> Self? {
    switch operation {
    case .add: p.plus(q)
    case .subtract: q.times([-1]).map { p.plus($0) }
    case .multiply: p.times(q.coefficients)
    case .divide: q.constant.flatMap { $0 == 0 ? nil : p.times([1 / $0]) }
    case .power: q.constant.flatMap { p.power($0) }
    default: nil
    }
  }

  private var constant: Double? { coefficients.count == 1 ? coefficients[0] : nil }

  private func plus(_ other: Self) -> Self {
    let count = max(coefficients.count, other.coefficients.count)
    return Self(
      (0..<count).map { i in
        (i < coefficients.count ? coefficients[i] : 0) + (i < other.coefficients.count ? other.coefficients[i] : 0)
      })
  }

  private func times(_ other: [Double]) -> Self? {
    guard coefficients.count + other.count - 2 <= Self.highestDegree else { return nil }
    var product = [Double](repeating: 0, count: coefficients.count + other.count - 1)
    for (i, a) in coefficients.enumerated() {
      for (j, b) in other.enumerated() { product[i + j] += a * b }
    }
    return Self(product)
  }

  private func power(_ exponent: Double) -> Self? {
    guard exponent == exponent.rounded(), 1...Double(Self.highestDegree) ~= exponent else { return nil }
    var result = self
    for _ in 1..<Int(exponent) {
      guard let next = result.times(coefficients) else { return nil }
      result = next
    }
    return result
  }
}
