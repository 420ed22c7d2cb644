import MartletGraph
import MartletLoopIR
import MartletTensors

/// Activations and their gradients.
extension EpilogueMatcher {
  mutating func activated(_ id: ScalarID, _ activation: Epilogue.Activation) -> Value? {
    guard case .form(var form)? = value(id), form.activation == nil, !form.isGradient else { return nil }
    // A ReLU may as well come before a rounding.
    guard form.rounding == nil || activation == .relu(slope: 0) else { return nil }
    form.activation = activation
    return .form(form)
  }

  func number(_ id: ScalarID) -> Float? {
    let row = b.arena[id]
    guard row.operation == .constant, row.type == .float32 else { return nil }
    return Float(bitPattern: UInt32(truncatingIfNeeded: row.payload))
  }

  /// Whether a row is 0, of any type.
  private func isZero(_ id: ScalarID) -> Bool { b.arena[id].operation == .constant && b.arena[id].payload == 0 }

  mutating func bound(_ row: ScalarRow) -> Value? {
    for (x, limit) in [(row.operand(0), row.operand(1)), (row.operand(1), row.operand(0))] {
      guard let limit = number(limit), case .form(var form)? = value(x), !form.isGradient else { continue }
      switch (row.operation, form.activation) {
      case (.maximum, nil) where limit == 0: form.activation = .relu(slope: 0)
      case (.minimum, .relu(slope: 0)) where limit > 0 && form.rounding == nil: form.activation = .clip(0, limit)
      default: return nil
      }
      return .form(form)
    }
    return channel(row)
  }

  /// One case for x > 0, where that is x, another for the rest.
  mutating func selected(_ row: ScalarRow) -> Value? {
    let condition = b.arena[row.operand(0)]
    guard condition.operation == .less else { return channel(row) }
    if let masked = masked(row, condition) { return masked }
    let x: ScalarID
    let other: ScalarID
    if number(condition.operand(0)) == 0, condition.operand(1) == row.operand(1) {
      (x, other) = (row.operand(1), row.operand(2))
    } else if number(condition.operand(1)) == 0, condition.operand(0) == row.operand(2) {
      (x, other) = (row.operand(2), row.operand(1))
    } else {
      return channel(row)
    }
    guard case .form? = value(x) else { return channel(row) }
    let rest = b.arena[other]
    if number(other) == 0 { return activated(x, .relu(slope: 0)) }
    if rest.operation == .expm1, rest.operand(0) == x { return activated(x, .elu(alpha: 1)) }
    guard rest.operation == .multiply else { return nil }
    for (factor, part) in [(rest.operand(0), rest.operand(1)), (rest.operand(1), rest.operand(0))] {
      guard let factor = number(factor) else { continue }
      if part == x { return activated(x, .relu(slope: factor)) }
      let row = b.arena[part]
      if row.operation == .expm1, row.operand(0) == x { return activated(x, .elu(alpha: factor)) }
    }
    return nil
  }

  /// What stays where an array of the result's shape is greater than 0: the gradient of a ReLU.
  private mutating func masked(_ row: ScalarRow, _ condition: ScalarRow) -> Value? {
    guard extents.count == 2, isZero(condition.operand(0)), isZero(row.operand(2)),
      case .residual(let input)? = value(condition.operand(1)), case .form(var form)? = value(row.operand(1)),
      form.isProduct
    else { return nil }
    form.mask = input
    return .form(form)
  }

  /// ½ · x · (1 + erf(x / √2)), or the like with the tangent that approximates it, its factors in any order.
  mutating func gelu(_ id: ScalarID) -> Value? {
    var constant: Float = 1
    var factors: [ScalarID] = []
    var pending = [id]
    while let next = pending.popLast() {
      let row = b.arena[next]
      if let number = number(next) {
        constant *= number
      } else if row.operation == .multiply, factors.count < 4 {
        pending += row.operands
      } else {
        factors.append(next)
      }
    }
    guard constant == 0.5, factors.count == 2 else { return nil }
    for (x, cumulative) in [(factors[0], factors[1]), (factors[1], factors[0])] {
      let sum = b.arena[cumulative]
      guard sum.operation == .add else { continue }
      for (one, function) in [(sum.operand(0), sum.operand(1)), (sum.operand(1), sum.operand(0))] {
        let row = b.arena[function]
        guard number(one) == 1 else { continue }
        switch row.operation {
        case .erf where isQuotientByRootOfTwo(b.arena[row.operand(0)], of: x): return activated(x, .gelu)
        case .tanh where isArgumentOfTangent(row.operand(0), of: x): return activated(x, .geluByTanh)
        default: continue
        }
      }
    }
    return nil
  }

  /// Whether a value is √(2/π) · (x + 0.044715 x³), however it is written.
  private func isArgumentOfTangent(_ id: ScalarID, of x: ScalarID) -> Bool {
    let root = (2 / Double.pi).squareRoot()
    return ScalarPolynomial(id, in: [x], b.arena)?.isNear([[1]: root, [3]: root * 0.044715]) == true
  }

  private func isQuotientByRootOfTwo(_ row: ScalarRow, of x: ScalarID) -> Bool {
    let root = Float(2).squareRoot()
    func isNear(_ id: ScalarID, _ value: Float) -> Bool { number(id).map { abs($0 - value) < 1e-6 } ?? false }
    switch row.operation {
    case .multiply:
      return (row.operand(0) == x && isNear(row.operand(1), 1 / root))
        || (row.operand(1) == x && isNear(row.operand(0), 1 / root))
    case .divide: return row.operand(0) == x && isNear(row.operand(1), root)
    default: return false
    }
  }

  /// The gradient of GELU in its form with a tangent: a product times the derivative at an array of the result's shape.
  mutating func geluGradient(_ row: ScalarRow) -> Value? {
    guard row.operation == .multiply else { return nil }
    for (gradient, slope) in [(row.operand(0), row.operand(1)), (row.operand(1), row.operand(0))] {
      guard case .form(var form)? = value(gradient), form.isProduct, let input = inputOfSlope(slope) else { continue }
      form.geluInput = input
      return .form(form)
    }
    return nil
  }

  /// The input at which a value is the derivative of GELU: with t = tanh(u(x)), ½ (1 + t) + ½ x (1 - t²) u'(x).
  private mutating func inputOfSlope(_ id: ScalarID) -> Int? {
    let root = (2 / Double.pi).squareRoot()
    let expected: [[Int]: Double] = [
      [0, 0]: 0.5, [0, 1]: 0.5, [1, 0]: 0.5 * root, [1, 2]: -0.5 * root, [3, 0]: 1.5 * 0.044715 * root,
      [3, 2]: -1.5 * 0.044715 * root,
    ]
    let rows = below(id)
    for tangent in rows where b.arena[tangent].operation == .tanh {
      for x in rows {
        guard case .residual(let input)? = value(x), isArgumentOfTangent(b.arena[tangent].operand(0), of: x),
          ScalarPolynomial(id, in: [x, tangent], b.arena)?.isNear(expected) == true
        else { continue }
        return input
      }
    }
    return nil
  }

  /// A value and what it is computed from, in order; none where that is more than any derivative needs.
  private func below(_ id: ScalarID) -> [ScalarID] {
    var found: [ScalarID] = []
    var pending = [id]
    while let next = pending.popLast() {
      if found.contains(next) { continue }
      found.append(next)
      let row = b.arena[next]
      if row.operation != .load { pending += row.operands }
      if found.count > 64 { return [] }
    }
    return found
  }
}
