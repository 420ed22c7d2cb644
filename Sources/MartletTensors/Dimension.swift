import Synchronization

/// An integer that may be known only when a graph runs: the extent of a tensor along one axis, or a number computed from
/// such extents.
///
/// A dimension is a polynomial with integer coefficients over symbols and over floor quotients, minima and maxima of
/// other dimensions. It is kept in normal form, so that two dimensions that compare equal are equal for all values of
/// their symbols. The converse does not hold: unequal dimensions may still turn out to have the same value.
///
/// Arithmetic is total. Where a result does not fit in `Int`, would divide by zero, or is too large an expression to
/// keep, it is a new unknown (see ``fresh()``).
public struct Dimension: Hashable, Sendable {
  enum Representation: Hashable, Sendable {
    case known(Int)
    case symbolic(Polynomial)
  }

  var representation: Representation

  init(_ representation: Representation) { self.representation = representation }

  /// A known integer.
  public init(_ value: Int) { representation = .known(value) }

  /// A known integer.
  public static func known(_ value: Int) -> Dimension { Dimension(value) }

  /// A new unknown, different from every other.
  public static func fresh() -> Dimension {
    let identifier = nextSymbol.wrappingAdd(1, ordering: .relaxed).oldValue
    return Dimension(Symbol(identity: .anonymous(identifier)))
  }

  /// The unknown of this name. Equal names give equal dimensions.
  public static func symbol(named name: String) -> Dimension { Dimension(Symbol(identity: .named(name))) }

  /// The unknown that a symbol stands for.
  public init(_ symbol: Symbol) {
    representation = .symbolic(Polynomial([Term(coefficient: 1, factors: [Factor(atom: Atom(.symbol(symbol)))])]))
  }

  private static let nextSymbol = Atomic<UInt64>(0)

  /// The value, or nil where it depends on symbols.
  public var known: Int? {
    if case .known(let value) = representation { value } else { nil }
  }

  /// The symbol, where this dimension is nothing but one symbol.
  public var symbol: Symbol? {
    guard case .symbolic(let polynomial) = representation, let term = polynomial.onlyTerm,
      term.coefficient == 1, term.factors.count == 1, term.factors[0].power == 1,
      case .symbol(let symbol) = term.factors[0].atom.form
    else { return nil }
    return symbol
  }

  /// The terms of the polynomial in normal form, the constant last. A known zero has none.
  public var terms: [Term] {
    switch representation {
    case .known(let value): value == 0 ? [] : [Term(coefficient: value, factors: [])]
    case .symbolic(let polynomial): polynomial.terms
    }
  }
}

extension Dimension: ExpressibleByIntegerLiteral {
  public init(integerLiteral value: Int) { self.init(value) }
}

extension Dimension {
  /// An unknown integer, named or anonymous.
  public struct Symbol: Hashable, Sendable, Comparable {
    enum Identity: Hashable, Sendable {
      case named(String)
      case anonymous(UInt64)
    }

    let identity: Identity

    /// The name, or nil for an anonymous symbol.
    public var name: String? {
      if case .named(let name) = identity { name } else { nil }
    }

    /// Named symbols by name, then anonymous ones in the order of their creation.
    public static func < (a: Symbol, b: Symbol) -> Bool {
      switch (a.identity, b.identity) {
      case (.named(let a), .named(let b)): a.utf8.lexicographicallyPrecedes(b.utf8)
      case (.anonymous(let a), .anonymous(let b)): a < b
      case (.named, .anonymous): true
      case (.anonymous, .named): false
      }
    }
  }

  /// One summand: an integer coefficient times powers of atoms.
  public struct Term: Hashable, Sendable {
    public let coefficient: Int
    /// In increasing order of atoms, each atom once.
    public let factors: [Factor]

    var degree: Int { factors.reduce(0) { $0 + $1.power } }
  }

  /// A positive power of an atom.
  public struct Factor: Hashable, Sendable {
    public let atom: Atom
    public let power: Int

    init(atom: Atom, power: Int = 1) {
      self.atom = atom
      self.power = power
    }
  }

  /// What a polynomial treats as a variable: a symbol, or an operation that is not a sum or product.
  public final class Atom: Hashable, Sendable {
    public enum Form: Hashable, Sendable {
      case symbol(Symbol)
      /// The quotient rounded towards negative infinity.
      case floorQuotient(Dimension, Dimension)
      case minimum(Dimension, Dimension)
      case maximum(Dimension, Dimension)
      /// A product that would have too many terms when expanded.
      case product(Dimension, Dimension)
    }

    public let form: Form
    private let hash: Int
    /// The number of atoms and terms in the expression written out, which bounds the work of comparing it.
    let size: Int

    init(_ form: Form) {
      self.form = form
      hash = form.hashValue
      size =
        switch form {
        case .symbol: 1
        case .floorQuotient(let a, let b), .minimum(let a, let b), .maximum(let a, let b), .product(let a, let b):
          1 + a.size + b.size
        }
    }

    public static func == (a: Atom, b: Atom) -> Bool {
      a === b || (a.hash == b.hash && a.size == b.size && a.form == b.form)
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(hash) }
  }

  /// The number of atoms and terms in the expression written out.
  var size: Int {
    if case .symbolic(let polynomial) = representation { polynomial.size } else { 1 }
  }
}
