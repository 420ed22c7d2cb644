import MartletGraph

extension GradientContext {
  /// One cotangent for each operand of an operation that broadcasts its operands: each part is evaluated only where it
  /// is asked for, and brought back to its operand's shape. A part that is nil has no cotangent.
  func cotangents(_ parts: (() -> Output)?...) -> [Cotangent] {
    parts.enumerated().map { i, part in
      guard let part, isNeeded[i] else { return .none }
      return .dense(sumToShape(part(), of: operands[i]))
    }
  }
}
