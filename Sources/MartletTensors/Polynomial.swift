/// A sum of terms in normal form: in decreasing graded lexicographic order, no two with the same factors, none zero, and
/// at least one with a factor.
final class Polynomial: Hashable, Sendable {
  let terms: [Dimension.Term]
  let size: Int
  private let hash: Int

  init(_ terms: [Dimension.Term]) {
    self.terms = terms
    hash = terms.hashValue
    size = terms.reduce(0) { $1.factors.reduce($0 + 1) { $0 + $1.atom.size } }
  }

  var onlyTerm: Dimension.Term? { terms.count == 1 ? terms[0] : nil }

  static func == (a: Polynomial, b: Polynomial) -> Bool {
    a === b || (a.hash == b.hash && a.size == b.size && a.terms == b.terms)
  }

  func hash(into hasher: inout Hasher) { hasher.combine(hash) }
}

/// How one thing stands to another in an order.
enum Ordering {
  case before, same, after

  init<T: Comparable>(_ a: T, _ b: T) { self = a < b ? .before : a == b ? .same : .after }

  /// This order, or where it ties, the next.
  func then(_ next: @autoclosure () -> Ordering) -> Ordering { self == .same ? next() : self }
}

extension Dimension.Atom {
  /// An order that depends on structure alone. (Hash values differ from process to process.)
  static func compare(_ a: Dimension.Atom, _ b: Dimension.Atom) -> Ordering {
    if a === b { return .same }
    switch (a.form, b.form) {
    case (.symbol(let a), .symbol(let b)): return Ordering(a, b)
    case (.floorQuotient(let a0, let a1), .floorQuotient(let b0, let b1)),
      (.minimum(let a0, let a1), .minimum(let b0, let b1)),
      (.maximum(let a0, let a1), .maximum(let b0, let b1)),
      (.product(let a0, let a1), .product(let b0, let b1)):
      return Dimension.compare(a0, b0).then(Dimension.compare(a1, b1))
    default: return Ordering(a.rank, b.rank)
    }
  }

  private var rank: Int {
    switch form {
    case .symbol: 0
    case .floorQuotient: 1
    case .minimum: 2
    case .maximum: 3
    case .product: 4
    }
  }
}

extension Dimension.Term {
  /// Graded lexicographic order of the factors, greatest first; it is compatible with multiplication, which polynomial
  /// division relies on.
  static func compare(_ a: Dimension.Term, _ b: Dimension.Term) -> Ordering {
    let degrees = Ordering(b.degree, a.degree)
    if degrees != .same { return degrees }
    for (x, y) in zip(a.factors, b.factors) {
      let order = Dimension.Atom.compare(x.atom, y.atom).then(Ordering(y.power, x.power))
      if order != .same { return order }
    }
    return .same
  }

  /// Terms with a factor of a higher power are given up: it bounds how long evaluation takes.
  static let powerLimit = 256

  /// The product, or nil where the coefficient overflows or a power grows too high.
  static func product(_ a: Dimension.Term, _ b: Dimension.Term) -> Dimension.Term? {
    let (coefficient, overflow) = a.coefficient.multipliedReportingOverflow(by: b.coefficient)
    if overflow { return nil }
    var factors: [Dimension.Factor] = []
    factors.reserveCapacity(a.factors.count + b.factors.count)
    var (i, j) = (0, 0)
    while i < a.factors.count, j < b.factors.count {
      let (x, y) = (a.factors[i], b.factors[j])
      switch Dimension.Atom.compare(x.atom, y.atom) {
      case .before:
        factors.append(x)
        i += 1
      case .after:
        factors.append(y)
        j += 1
      case .same:
        guard x.power + y.power <= powerLimit else { return nil }
        factors.append(Dimension.Factor(atom: x.atom, power: x.power + y.power))
        i += 1
        j += 1
      }
    }
    factors += a.factors[i...]
    factors += b.factors[j...]
    return Dimension.Term(coefficient: coefficient, factors: factors)
  }

  /// The term that gives this one when multiplied by the divisor, or nil where there is none.
  func exactlyDivided(by divisor: Dimension.Term) -> Dimension.Term? {
    let (coefficient, overflow) = self.coefficient.dividedReportingOverflow(by: divisor.coefficient)
    guard !overflow, coefficient * divisor.coefficient == self.coefficient else { return nil }
    return factorsDivided(by: divisor).map { Dimension.Term(coefficient: coefficient, factors: $0) }
  }

  private func factorsDivided(by divisor: Dimension.Term) -> [Dimension.Factor]? {
    var result: [Dimension.Factor] = []
    var j = 0
    for factor in factors {
      if j < divisor.factors.count, divisor.factors[j].atom == factor.atom {
        let power = factor.power - divisor.factors[j].power
        if power < 0 { return nil }
        if power > 0 { result.append(Dimension.Factor(atom: factor.atom, power: power)) }
        j += 1
      } else {
        result.append(factor)
      }
    }
    return j == divisor.factors.count ? result : nil
  }

  var isConstant: Bool { factors.isEmpty }
}

extension Dimension {
  static func compare(_ a: Dimension, _ b: Dimension) -> Ordering {
    switch (a.representation, b.representation) {
    case (.known(let a), .known(let b)): return Ordering(a, b)
    case (.known, .symbolic): return .before
    case (.symbolic, .known): return .after
    case (.symbolic(let a), .symbolic(let b)):
      if a === b { return .same }
      for (x, y) in zip(a.terms, b.terms) {
        let order = Term.compare(x, y).then(Ordering(x.coefficient, y.coefficient))
        if order != .same { return order }
      }
      return Ordering(a.terms.count, b.terms.count)
    }
  }

  /// Expressions with more atoms and terms than this are given up for a new unknown: it bounds comparison and recursion.
  static let sizeLimit = 4096

  /// The dimension with these terms, which must be in order; those that are zero are dropped.
  init(ordered terms: [Term]) {
    let terms = terms.contains { $0.coefficient == 0 } ? terms.filter { $0.coefficient != 0 } : terms
    if terms.isEmpty {
      self.init(0)
    } else if terms.count == 1, terms[0].isConstant {
      self.init(terms[0].coefficient)
    } else {
      let polynomial = Polynomial(terms)
      if polynomial.size > Self.sizeLimit { self = .fresh() } else { self.init(.symbolic(polynomial)) }
    }
  }

  /// The dimension that is one atom, or a new unknown where that grows too large.
  init(atom form: Atom.Form) {
    self.init(ordered: [Term(coefficient: 1, factors: [Factor(atom: Atom(form))])])
  }
}
