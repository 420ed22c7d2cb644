extension Dimension {
  public static func + (a: Dimension, b: Dimension) -> Dimension {
    if let x = a.known, let y = b.known {
      let (sum, overflow) = x.addingReportingOverflow(y)
      return overflow ? .fresh() : Dimension(sum)
    }
    return merged(a.terms, b.terms).map(Dimension.init(ordered:)) ?? .fresh()
  }

  public static prefix func - (a: Dimension) -> Dimension { a * -1 }

  public static func - (a: Dimension, b: Dimension) -> Dimension { a + -b }

  public static func * (a: Dimension, b: Dimension) -> Dimension {
    if let x = a.known, let y = b.known {
      let (product, overflow) = x.multipliedReportingOverflow(by: y)
      return overflow ? .fresh() : Dimension(product)
    }
    if a.known == 1 { return b }
    if b.known == 1 { return a }
    let (left, right) = (a.terms, b.terms)
    if left.count > 1, right.count > 1, left.count * right.count > termLimit {
      let (first, second) = compare(a, b) == .after ? (b, a) : (a, b)
      return Dimension(atom: .product(first, second))
    }
    let (short, long) = left.count < right.count ? (left, right) : (right, left)
    var sum: [Term] = []
    for term in short {
      var row: [Term] = []
      row.reserveCapacity(long.count)
      for other in long {
        guard let product = Term.product(term, other) else { return .fresh() }
        row.append(product)
      }
      // A graded lexicographic order is kept by multiplication with one term, so each row is in order.
      guard let merged = merged(sum, row) else { return .fresh() }
      sum = merged
    }
    return Dimension(ordered: sum)
  }

  public static func + (a: Dimension, b: Int) -> Dimension { a + Dimension(b) }
  public static func + (a: Int, b: Dimension) -> Dimension { Dimension(a) + b }
  public static func - (a: Dimension, b: Int) -> Dimension { a - Dimension(b) }
  public static func - (a: Int, b: Dimension) -> Dimension { Dimension(a) - b }
  public static func * (a: Dimension, b: Int) -> Dimension { a * Dimension(b) }
  public static func * (a: Int, b: Dimension) -> Dimension { Dimension(a) * b }
  public static func += (a: inout Dimension, b: Dimension) { a = a + b }
  public static func -= (a: inout Dimension, b: Dimension) { a = a - b }
  public static func *= (a: inout Dimension, b: Dimension) { a = a * b }

  /// A product with more terms than this stays unexpanded.
  private static let termLimit = 256

  /// The sum of two ordered lists of terms, or nil where a coefficient overflows.
  private static func merged(_ a: [Term], _ b: [Term]) -> [Term]? {
    var result: [Term] = []
    result.reserveCapacity(a.count + b.count)
    var (i, j) = (0, 0)
    while i < a.count, j < b.count {
      switch Term.compare(a[i], b[j]) {
      case .before:
        result.append(a[i])
        i += 1
      case .after:
        result.append(b[j])
        j += 1
      case .same:
        let (coefficient, overflow) = a[i].coefficient.addingReportingOverflow(b[j].coefficient)
        if overflow { return nil }
        if coefficient != 0 { result.append(Term(coefficient: coefficient, factors: a[i].factors)) }
        i += 1
        j += 1
      }
    }
    result += a[i...]
    result += b[j...]
    return result
  }

  /// The smaller of two dimensions.
  public func min(_ other: Dimension) -> Dimension {
    if let difference = (self - other).known { return difference <= 0 ? self : other }
    let (first, second) = Self.compare(self, other) == .after ? (other, self) : (self, other)
    return Dimension(atom: .minimum(first, second))
  }

  /// The larger of two dimensions.
  public func max(_ other: Dimension) -> Dimension {
    if let difference = (self - other).known { return difference >= 0 ? self : other }
    let (first, second) = Self.compare(self, other) == .after ? (other, self) : (self, other)
    return Dimension(atom: .maximum(first, second))
  }
}
