/// What is known of a tensor's extents: nothing, only how many there are, some of them, or all.
///
/// In an array literal, `nil` stands for a new unknown: `[nil, 28, 28, 1]`.
public struct Shape: Hashable, Sendable {
  /// The extents, outermost first, or nil where not even their number is known.
  public let dimensions: [Dimension]?

  /// A shape of which nothing is known.
  public static let unknown = Shape(dimensions: nil)

  /// The shape of a single number.
  public static let scalar = Shape(dimensions: [])

  private init(dimensions: [Dimension]?) { self.dimensions = dimensions }

  public init(_ dimensions: [Dimension]) { self.dimensions = dimensions }

  public init(_ dimensions: [Int]) { self.dimensions = dimensions.map(Dimension.init(_:)) }

  /// A shape of known rank whose extents are new unknowns.
  public init(unknownOfRank rank: Int) { dimensions = (0..<rank).map { _ in .fresh() } }

  /// The number of dimensions, or nil where it is unknown.
  public var rank: Int? { dimensions?.count }

  /// Whether every extent is a known integer.
  public var isFullyKnown: Bool { dimensions?.allSatisfy { $0.known != nil } ?? false }

  /// The extents where all are known integers, else nil.
  public var known: [Int]? {
    guard let dimensions else { return nil }
    var result: [Int] = []
    result.reserveCapacity(dimensions.count)
    for dimension in dimensions {
      guard let value = dimension.known else { return nil }
      result.append(value)
    }
    return result
  }

  /// The product of the extents, or nil where the rank is unknown.
  public var elementCount: Dimension? { dimensions?.reduce(1, *) }

  /// The extent along an axis; a negative one counts from the end. The rank must be known.
  public subscript(axis: Int) -> Dimension {
    guard let dimensions else { preconditionFailure("A shape of unknown rank has no dimension \(axis).") }
    return dimensions[axis < 0 ? axis + dimensions.count : axis]
  }

  /// The shape with each dimension's symbols replaced by the dimensions given for them.
  public func substituting(_ replacements: [Dimension.Symbol: Dimension]) -> Shape {
    Shape(dimensions: dimensions?.map { $0.substituting(replacements) })
  }

  /// The extents for these values of the symbols, or nil where one cannot be evaluated.
  public func evaluated(_ values: [Dimension.Symbol: Int]) -> [Int]? {
    guard let dimensions else { return nil }
    var result: [Int] = []
    result.reserveCapacity(dimensions.count)
    for dimension in dimensions {
      guard let value = dimension.evaluated(values) else { return nil }
      result.append(value)
    }
    return result
  }
}

extension Shape: ExpressibleByArrayLiteral {
  public init(arrayLiteral elements: Int?...) {
    dimensions = elements.map { $0.map(Dimension.init(_:)) ?? .fresh() }
  }
}

extension Shape {
  /// The shape of an element-by-element operation on this shape and another, by NumPy's rules, or nil where they do not
  /// fit.
  ///
  /// Shapes are aligned at their last dimension. A 1 stretches to the other extent; so an unknown beside a known number
  /// other than 1 gives that number, and two different unknowns give a new one.
  public func broadcast(with other: Shape) -> Shape? {
    guard let a = dimensions, let b = other.dimensions else { return .unknown }
    let (long, short) = a.count >= b.count ? (a, b) : (b, a)
    let offset = long.count - short.count
    var result = long
    for i in short.indices {
      guard let dimension = Self.broadcast(long[offset + i], short[i]) else { return nil }
      result[offset + i] = dimension
    }
    return Shape(result)
  }

  private static func broadcast(_ a: Dimension, _ b: Dimension) -> Dimension? {
    if a == b || b.known == 1 { return a }
    if a.known == 1 { return b }
    return switch (a.known, b.known) {
    case (.some, .some): nil
    case (.some, nil): a
    case (nil, .some): b
    case (nil, nil): .fresh()
    }
  }

  /// The most specific shape that fits what both say of one and the same tensor, or nil where they contradict.
  ///
  /// Of two different expressions for one extent the known number is kept, else this shape's.
  public func merged(with other: Shape) -> Shape? {
    guard let a = dimensions else { return other }
    guard let b = other.dimensions else { return self }
    guard a.count == b.count else { return nil }
    var result = a
    for (i, (x, y)) in zip(a, b).enumerated() {
      guard Self.isCompatible(x, y) else { return nil }
      if x.known == nil, y.known != nil { result[i] = y }
    }
    return Shape(result)
  }

  /// Whether one tensor could have both shapes.
  public func isCompatible(with other: Shape) -> Bool {
    guard let a = dimensions, let b = other.dimensions else { return true }
    return a.count == b.count && zip(a, b).allSatisfy(Self.isCompatible)
  }

  /// Extents contradict when they differ by a known number other than zero.
  private static func isCompatible(_ a: Dimension, _ b: Dimension) -> Bool { ((a - b).known ?? 0) == 0 }
}

extension Shape: CustomStringConvertible {
  /// `[?, 28, 28, 1]`, or `[...]` where the rank is unknown.
  public var description: String { dimensions.map(String.init(describing:)) ?? "[...]" }

  /// The text with anonymous symbols numbered in order of first appearance; see ``Dimension/description(names:)``.
  public func description(names: inout [Dimension.Symbol: Int]) -> String {
    guard let dimensions else { return "[...]" }
    var parts: [String] = []
    for dimension in dimensions { parts.append(dimension.description(names: &names)) }
    return "[" + parts.joined(separator: ", ") + "]"
  }
}
