import MartletDiagnostics
import MartletGraph
import MartletTensors

extension InferenceContext {
  /// The types of a sub-graph that an attribute names.
  func signature(of name: FunctionName, _ attribute: String) throws(Diagnostic) -> FunctionSignature {
    guard let signature = function(name) else {
      throw Diagnostic("attribute '\(attribute)' names no function of the graph", found: "\(name)")
    }
    return signature
  }
}

extension FunctionSignature {
  /// Throws unless the sub-graph can be given these values.
  func check(_ operands: [Operand], _ name: FunctionName, _ input: String) throws(Diagnostic) {
    guard operands.count == arguments.count else {
      throw Diagnostic(
        "\(name) takes another number of arguments", operand: input, required: "\(arguments.count) values",
        found: "\(operands.count)")
    }
    for (i, (operand, argument)) in zip(operands, arguments).enumerated() {
      guard operand.type.fits(argument) else {
        throw Diagnostic(
          "the value does not fit the argument of \(name)", operand: "\(input)[\(i)]", required: "\(argument)",
          found: "\(operand.type)")
      }
    }
  }
}

extension ValueType {
  /// Whether a value could be of both types.
  func fits(_ other: ValueType) -> Bool {
    switch (self, other) {
    case (.tensor(let a), .tensor(let b)), (.resource(let a), .resource(let b)):
      a.elementType == b.elementType && a.shape.isCompatible(with: b.shape)
    case (.foreign, _), (_, .foreign), (.poison, _), (_, .poison): true
    default: false
    }
  }

  /// The type of a value that has the one type or the other: of the shapes what they have in common. Nil if kinds or
  /// element types differ.
  func joined(with other: ValueType) -> ValueType? {
    switch (self, other) {
    case (.tensor(let a), .tensor(let b)) where a.elementType == b.elementType:
      .tensor(a.elementType, a.shape.joined(with: b.shape))
    case (.resource(let a), .resource(let b)) where a.elementType == b.elementType:
      .resource(TensorType(a.elementType, a.shape.joined(with: b.shape)))
    default: self == other ? self : nil
    }
  }
}

extension Shape {
  /// What is true of an array that has the one shape or the other: equal extents stay, of equal ranks the rank.
  func joined(with other: Shape) -> Shape {
    guard let a = dimensions, let b = other.dimensions, a.count == b.count else { return .unknown }
    return Shape(zip(a, b).map { $0 == $1 ? $0 : .fresh() })
  }
}

extension [Output] {
  /// The first `count` results of a node. If it could not be typed it may have fewer; the last then stands for the rest.
  func padded(to count: Int) -> [Output] {
    guard let last, self.count < count else { return Array(prefix(count)) }
    return self + Array(repeating: last, count: count - self.count)
  }
}

extension Graph {
  /// Whether a sub-graph does more than to compute its results from its arguments.
  func hasEffect(_ built: BuiltFunction) -> Bool {
    if built.signature.arguments.contains(where: { if case .resource = $0 { true } else { false } }) { return true }
    return innermost.library[built.name].map { !$0.targets.isEmpty } ?? false
  }
}
