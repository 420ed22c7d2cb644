import MartletTensors

/// The values that an integer or Boolean scalar can have, both ends included.
package struct ScalarRange: Hashable, Sendable {
  package var lower: Int64
  package var upper: Int64

  package init(_ lower: Int64, _ upper: Int64) { (self.lower, self.upper) = (lower, upper) }
  init(_ value: Int64) { (lower, upper) = (value, value) }

  /// Every value of a type; of floats nothing is known.
  static func all(_ type: ElementType) -> ScalarRange {
    switch type {
    case .bool: ScalarRange(0, 1)
    case .uint8: ScalarRange(0, 255)
    case .int32: ScalarRange(Int64(Int32.min), Int64(Int32.max))
    default: ScalarRange(.min, .max)
    }
  }

  var constant: Int64? { lower == upper ? lower : nil }
  func contains(_ other: ScalarRange) -> Bool { lower <= other.lower && other.upper <= upper }
  func union(_ other: ScalarRange) -> ScalarRange { ScalarRange(min(lower, other.lower), max(upper, other.upper)) }

  /// The exact sum, or nil where it does not fit 64 bits.
  func adding(_ other: ScalarRange) -> ScalarRange? {
    let (a, overflowA) = lower.addingReportingOverflow(other.lower)
    let (b, overflowB) = upper.addingReportingOverflow(other.upper)
    return overflowA || overflowB ? nil : ScalarRange(a, b)
  }

  func subtracting(_ other: ScalarRange) -> ScalarRange? {
    let (a, overflowA) = lower.subtractingReportingOverflow(other.upper)
    let (b, overflowB) = upper.subtractingReportingOverflow(other.lower)
    return overflowA || overflowB ? nil : ScalarRange(a, b)
  }

  func multiplied(by other: ScalarRange) -> ScalarRange? {
    var result: ScalarRange?
    for x in [lower, upper] {
      for y in [other.lower, other.upper] {
        let (product, overflow) = x.multipliedReportingOverflow(by: y)
        if overflow { return nil }
        result = result?.union(ScalarRange(product)) ?? ScalarRange(product)
      }
    }
    return result
  }

  /// The range of a row of integer or Boolean type whose operands have the given ranges.
  package static func of(
    _ row: ScalarRow, operands: [ScalarRange], operandTypes: [ElementType], axisExtent: (Int) -> Int?
  )
    -> ScalarRange
  {
    let all = all(row.type)
    func fitting(_ range: ScalarRange?) -> ScalarRange {
      if let range, all.contains(range) { range } else { all }
    }
    if row.operation != .cast, row.operation != .select, operandTypes.contains(where: \.isFloatingPoint) { return all }
    switch row.operation {
    case .constant: return ScalarRange(row.payload)
    case .axis: return ScalarRange(0, axisExtent(Int(row.payload)).map { Int64(max($0 - 1, 0)) } ?? .max)
    case .add: return fitting(operands[0].adding(operands[1]))
    case .subtract: return fitting(operands[0].subtracting(operands[1]))
    case .multiply: return fitting(operands[0].multiplied(by: operands[1]))
    case .negate: return fitting(ScalarRange(0).subtracting(operands[0]))
    case .absolute:
      let x = operands[0]
      return x.lower >= 0 ? x : all
    case .minimum:
      return ScalarRange(min(operands[0].lower, operands[1].lower), min(operands[0].upper, operands[1].upper))
    case .maximum:
      return ScalarRange(max(operands[0].lower, operands[1].lower), max(operands[0].upper, operands[1].upper))
    case .floorDivide, .divide:
      guard let divisor = operands[1].constant, divisor > 0 else { return all }
      let rounded = row.operation == .divide ? ScalarEvaluator.divide : ScalarEvaluator.floorDivide
      return ScalarRange(rounded(operands[0].lower, divisor), rounded(operands[0].upper, divisor))
    case .floorModulo:
      guard operands[1].lower > 0 else { return all }
      let x = operands[0]
      if x.lower >= 0, x.upper < operands[1].lower { return x }
      return ScalarRange(0, operands[1].upper - 1)
    case .checkIndex:
      return ScalarRange(0, max(operands[1].upper, 1) - 1)
    case .select: return operands[1].union(operands[2])
    case .cast where !operandTypes[0].isFloatingPoint && row.type != .bool: return fitting(operands[0])
    case .and where operands.allSatisfy { $0.lower >= 0 }:
      return ScalarRange(0, min(operands[0].upper, operands[1].upper))
    case .shiftRightLogical:
      guard let shift = operands[1].constant, operands[0].lower >= 0 else { return all }
      let masked = shift & Int64(operandTypes[0].byteWidth * 8 - 1)
      return ScalarRange(operands[0].lower >> masked, operands[0].upper >> masked)
    default: return all
    }
  }
}
