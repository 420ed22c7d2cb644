/// A nest some of whose numbers are known only when it runs: what differs between the nests of one kernel for several
/// shapes. One code does for all of them, and is told their numbers as run-time parameters.
///
/// Constants that are parameters are rows `parameter`; the numbers that stand outside of rows are listed here.
public struct ParametricNest: Sendable {
  /// The number of a nest's first own parameter; those before it are the run's.
  public static let firstParameter = 4
  /// Integers that are parameters are from 2 to this, and no phase has more iterations: products of two with an element's size do
  /// not leave 64 bits.
  public static let largest = 1 << 24

  public var nest: Nest
  /// The parameters that are extents of loops, by the loop's axis.
  public var extents: [Int: Int] = [:]
  /// The parameters that are blocks of a reduction's loops, by the loop's axis.
  public var blocks: [Int: Int] = [:]
  /// The parameters that are offsets in scratch memory, by the buffer's number.
  public var offsets: [Int: Int] = [:]
  /// The parameters that are the bits of floats.
  public var patterns: Set<Int> = []
  /// What its code depends on.
  public var key: StructuralKey
  /// For each phase how many iterations its code must be right for, or fewer.
  public var phaseExtents: [Int]

  /// A nest without parameters.
  public init(_ nest: Nest) {
    self.nest = nest
    key = nest.codeKey
    phaseExtents = nest.codeExtents
  }

  init(_ nest: Nest, key: StructuralKey) {
    self.nest = nest
    self.key = key
    phaseExtents = nest.phases.map { _ in Self.largest }
  }
}

/// A nest without its numbers, and the numbers: what nests of one kernel for several shapes have in common, and what they have
/// not.
///
/// Numbers are integers from 2 on, and floats other than 0 and ±1 that are added or multiplied: extents, strides, one over a
/// count. Everything else belongs to the skeleton, above all whether an extent is 0 or 1.
public struct NestSkeleton: Sendable {
  public let key: StructuralKey
  public let numbers: [Int64]
}

extension Nest {
  /// Nil where the nest is too large for code with parameters.
  public var skeleton: NestSkeleton? {
    guard phases.allSatisfy({ $0.extent <= ParametricNest.largest }) else { return nil }
    var writer = SkeletonWriter(self) { _ in true }
    writer.write()
    return NestSkeleton(key: writer.parametric.key, numbers: writer.numbers)
  }

  /// The nest with some of its skeleton's numbers as parameters, and their values.
  ///
  /// - Parameter isParameter: says for each of the numbers whether it is one.
  public func parametric(_ isParameter: [Bool]) -> (nest: ParametricNest, values: [Int64]) {
    var writer = SkeletonWriter(self) { isParameter[$0] }
    writer.write()
    return (writer.parametric, zip(writer.numbers, isParameter).filter(\.1).map(\.0))
  }
}
