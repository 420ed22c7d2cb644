import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// An array with its dimensions in another order: dimension i of the result is dimension `perm[i]` of the operand.
public struct Transpose: Operation {
  public init() {}
  public static let schema = Schema(
    "Transpose", inputs: ["x": "T", "perm": "Tperm"], outputs: ["y": "T"], types: ["T": .any, "Tperm": .index])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let type = operands[0].elementType ?? .float32
    let vector = try operands[1].shape(ofRank: 1, "perm")
    let extents = operands[0].shape.dimensions
    if let count = vector[0].known, let extents, count != extents.count {
      throw Diagnostic(
        "", operand: "perm", required: "one axis for each of \(extents.count) dimensions", found: "\(operands[1].type)")
    }
    guard let permutation = operands[1].integers else {
      guard let rank = extents?.count ?? vector[0].known else { return [Inference(type, .unknown)] }
      return [Inference(type, try .unknown(ofRank: rank, "perm"))]
    }
    let axes = try Self.checked(permutation)
    guard let extents else { return [Inference(type, try .unknown(ofRank: axes.count, "perm"))] }
    return [Inference(type, Shape(axes.map { extents[$0] }))]
  }

  /// The axes counted from the front, if they are a permutation.
  static func checked(_ permutation: [Int]) throws(Diagnostic) -> [Int] {
    var isTaken = [Bool](repeating: false, count: permutation.count)
    var axes: [Int] = []
    for axis in permutation {
      let axis = try normalizedAxis(axis, rank: permutation.count, "perm")
      guard !isTaken[axis] else {
        throw Diagnostic("", operand: "perm", required: "each axis once", found: "\(permutation)")
      }
      isTaken[axis] = true
      axes.append(axis)
    }
    return axes
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    if let axes = g.operands[1].operand.integers {
      return [.dense(transpose(g.dy, permutation: inverse(try Self.checked(axes)))), .none]
    }
    return [.dense(transpose(g.dy, permutation: invertPermutation(g.operands[1]))), .none]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let axes = try Self.checked(l.integers(1, "perm"))
    let places = inverse(axes)
    let type = l.operandTypes[0]
    var b = l.builder()
    let result = b.map("Transpose", type.elementType, l.resultShape(0)) { b, index in
      b.load(.input(0), type.elementType, at: places.map { index[$0] })
    }
    return .view(b.finish([result]))
  }
}

/// The permutation that undoes another.
func inverse(_ permutation: [Int]) -> [Int] {
  var result = permutation
  for (i, axis) in permutation.enumerated() { result[axis] = i }
  return result
}

/// The inverse y of a permutation x: `y[x[i]] = i`.
public struct InvertPermutation: Operation {
  public init() {}
  public static let schema = Schema("InvertPermutation", inputs: ["x": "T"], outputs: ["y": "T"], types: ["T": .index])
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let shape = try operands[0].shape(ofRank: 1, "x")
    var known: KnownValue?
    if let values = operands[0].known?.integers {
      guard values.allSatisfy({ $0 >= 0 }) else {
        throw Diagnostic("", operand: "x", required: "a permutation", found: "\(values)")
      }
      let axes = try Transpose.checked(values)
      known = KnownValue(vector: inverse(axes).map { Dimension($0) })
    }
    return [Inference(operands[0].elementType ?? .int32, shape, known: known)]
  }
  public var differentiation: Differentiation { .none("its operand is an array of integers") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.operandTypes[0]
    var b = l.builder()
    let result = b.scatter("InvertPermutation", type.elementType, type.extents, updates: type.extents) { b, _ in
      b.integer(0, type.elementType)
    } position: { b, axes in
      let target = b.cast(b.load(.input(0), type.elementType, at: axes), to: .int64)
      return [b.checkIndex(target, extent: type.extents[0])]
    } combine: { b, _, axes in
      b.cast(axes[0], to: type.elementType)
    }
    return .compute(b.finish([result]))
  }
}

/// An array with its dimensions in another order: dimension i of the result is dimension `permutation[i]` of `x`. Without
/// a permutation the order is reversed.
public func transpose(_ x: Output, permutation: [Int]? = nil, name: String? = nil) -> Output {
  guard let order = permutation ?? x.rank.map({ Array((0..<$0).reversed()) }) else {
    let axes = range(x.integer(0), rank(of: x))
    return transpose(x, permutation: reverse(axes, axes: [0]), name: name)
  }
  return transpose(x, permutation: x.vector(order), name: name)
}

/// An array with its dimensions in the order that a vector of integers gives.
public func transpose(_ x: Output, permutation: Output, name: String? = nil) -> Output {
  x.graph.addOne(Transpose(), [x, permutation], name: name)
}

/// The inverse y of a permutation x: `y[x[i]] = i`.
public func invertPermutation(_ x: Output, name: String? = nil) -> Output {
  x.graph.addOne(InvertPermutation(), [x], name: name)
}
