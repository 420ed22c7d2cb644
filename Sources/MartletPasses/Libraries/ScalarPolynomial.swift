import MartletLoopIR

/// A polynomial of scalars, at most of fifth degree, read from the arithmetic of a value.
struct ScalarPolynomial {
  /// The coefficients that are not 0, by the exponents of the variables.
  private(set) var coefficients: [[Int]: Double]
  private let variableCount: Int

  private static let highestDegree = 5
  private static let deepest = 10

  /// Nil where a value is no polynomial of `variables` whose coefficients are constants of float32.
  init?(_ id: ScalarID, in variables: [ScalarID], _ arena: ScalarArena) {
    self.init(id, in: variables, arena, depth: 0)
  }

  private init(_ coefficients: [[Int]: Double], _ variableCount: Int) {
    self.coefficients = coefficients.filter { $0.value != 0 }
    self.variableCount = variableCount
  }

  private init?(_ id: ScalarID, in variables: [ScalarID], _ arena: ScalarArena, depth: Int) {
    let row = arena[id]
    if let number = variables.firstIndex(of: id) {
      self.init([variables.indices.map { $0 == number ? 1 : 0 }: 1], variables.count)
      return
    }
    if row.operation == .constant, row.type == .float32 {
      let value = Double(Float(bitPattern: UInt32(truncatingIfNeeded: row.payload)))
      self.init([Array(repeating: 0, count: variables.count): value], variables.count)
      return
    }
    guard depth < Self.deepest, row.operandCount == 2,
      let left = ScalarPolynomial(row.operand(0), in: variables, arena, depth: depth + 1),
      let right = ScalarPolynomial(row.operand(1), in: variables, arena, depth: depth + 1),
      let result = Self.combined(row.operation, left, right)
    else { return nil }
    self = result
  }

  /// Whether the coefficients are those given, but for what rounding to float32 does to them.
  ///
  /// - Parameter expected: by the exponents of the variables.
  func isNear(_ expected: [[Int]: Double]) -> Bool {
    let tolerance = 1e-6 * (expected.values.map { abs($0) }.max() ?? 0)
    return Set(coefficients.keys).union(expected.keys).allSatisfy { exponents in
      abs(coefficients[exponents, default: 0] - expected[exponents, default: 0]) <= tolerance
    }
  }

  private static func combined(_ operation: ScalarOperation, _ p: Self, _ q: Self) -> Self? {
    switch operation {
    case .add: p.plus(q, times: 1)
    case .subtract: p.plus(q, times: -1)
    case .multiply: p.times(q)
    case .divide: q.constant.flatMap { $0 == 0 ? nil : p.scaled(1 / $0) }
    case .power: q.constant.flatMap { p.power($0) }
    default: nil
    }
  }

  private var constant: Double? {
    guard coefficients.keys.allSatisfy({ exponents in exponents.allSatisfy { $0 == 0 } }) else { return nil }
    return coefficients.values.first ?? 0
  }

  private func scaled(_ factor: Double) -> Self { Self(coefficients.mapValues { factor * $0 }, variableCount) }

  private func plus(_ other: Self, times factor: Double) -> Self {
    Self(coefficients.merging(other.scaled(factor).coefficients, uniquingKeysWith: +), variableCount)
  }

  private func times(_ other: Self) -> Self? {
    var product: [[Int]: Double] = [:]
    for (left, a) in coefficients {
      for (right, b) in other.coefficients {
        let exponents = zip(left, right).map(+)
        guard exponents.reduce(0, +) <= Self.highestDegree else { return nil }
        product[exponents, default: 0] += a * b
      }
    }
    return Self(product, variableCount)
  }

  private func power(_ exponent: Double) -> Self? {
    guard exponent == exponent.rounded(), 1...Double(Self.highestDegree) ~= exponent else { return nil }
    var result = self
    for _ in 1..<Int(exponent) {
      guard let next = result.times(self) else { return nil }
      result = next
    }
    return result
  }
}
