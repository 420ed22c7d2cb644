import MartletDiagnostics
import MartletGraph
import MartletTensors

extension Operand {
  /// The elements of an integer operand, as far as they are known while the graph is built; some may be symbolic.
  var elements: [Dimension]? { known?.elements ?? constant?.integers?.map { Dimension($0) } }

  /// The rank, which the operation needs to be `required`, such as 1; a new shape of that rank if it is unknown.
  ///
  /// - Throws: a diagnostic if the operand has another rank.
  func shape(ofRank required: Int, _ name: String) throws(Diagnostic) -> Shape {
    guard let rank = shape.rank else { return Shape(unknownOfRank: required) }
    guard rank == required else {
      let kind = ["a scalar", "a vector", "a matrix"]
      throw Diagnostic(
        "", operand: name, required: required < kind.count ? kind[required] : "\(required) dimensions",
        found: "\(type)")
    }
    return shape
  }

  /// The shape that this operand, a vector of extents, stands for.
  ///
  /// - Throws: a diagnostic if it is no vector, or holds a negative extent.
  func shapeValue(_ name: String) throws(Diagnostic) -> Shape {
    let vector = try shape(ofRank: 1, name)
    if let elements {
      for case let extent? in elements.map(\.known) where extent < 0 {
        throw Diagnostic("", operand: name, required: "extents of 0 or more", found: "\(elements)")
      }
      return Shape(elements)
    }
    guard let rank = vector[0].known else { return .unknown }
    return try .unknown(ofRank: rank, name)
  }

  /// The axis that this operand, a scalar integer, stands for, counted from the front; nil if it or the rank is unknown.
  ///
  /// - Throws: a diagnostic if it is no scalar, or lies outside `-rank ..< rank`.
  func axis(of rank: Int?, _ name: String) throws(Diagnostic) -> Int? {
    guard shape.rank ?? 0 == 0 || shape.known == [1] else {
      throw Diagnostic("", operand: name, required: "a scalar", found: "\(type)")
    }
    guard let integer, let rank else { return nil }
    return try normalizedAxis(integer, rank: rank, name)
  }
}

extension Shape {
  /// A shape of `rank` unknown extents, where the rank itself comes from a user.
  static func unknown(ofRank rank: Int, _ name: String) throws(Diagnostic) -> Shape {
    guard rank <= 254 else {
      throw Diagnostic("an array has too many dimensions", operand: name, required: "254 at most", found: "\(rank)")
    }
    return Shape(unknownOfRank: rank)
  }
}

/// The axis counted from the front.
///
/// - Throws: a diagnostic if it lies outside `-rank ..< rank`.
func normalizedAxis(_ axis: Int, rank: Int, _ operand: String) throws(Diagnostic) -> Int {
  guard axis >= -rank, axis < rank else {
    throw Diagnostic(
      "", operand: operand, required: rank == 0 ? "an array with dimensions" : "an axis from \(-rank) to \(rank - 1)",
      found: "\(axis)")
  }
  return axis < 0 ? axis + rank : axis
}

extension LoweringContext {
  /// The elements of an integer operand that must be known when the graph is compiled.
  func integers(_ i: Int, _ name: String) throws(Diagnostic) -> [Int] {
    if let integers = operands[i].integers { return integers }
    throw Diagnostic(
      "must be known when the graph is compiled", operand: name, found: "\(operands[i].type)",
      hint: "compute it from constants and from shapes alone")
  }

  /// The axis that an operand stands for, counted from the front.
  func axis(_ i: Int, of rank: Int, _ name: String) throws(Diagnostic) -> Int {
    let values = try integers(i, name)
    guard values.count == 1 else {
      throw Diagnostic("", operand: name, required: "a scalar", found: "\(operands[i].type)")
    }
    return try normalizedAxis(values[0], rank: rank, name)
  }
}
