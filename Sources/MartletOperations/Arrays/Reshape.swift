import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The same elements in row-major order under another shape; one extent may be −1, and is what remains.
public struct Reshape: Operation {
  public init() {}
  public static let schema = Schema(
    "Reshape", inputs: ["tensor": "T", "shape": "Tshape"], outputs: ["output": "T"],
    types: ["T": .any, "Tshape": .index])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let shape = try result(operands[0], operands[1])
    var known: KnownValue?
    if let value = operands[0].known, let extents = shape.known { known = KnownValue(value.elements, shape: extents) }
    return [Inference(operands[0].elementType ?? .float32, shape, known: known)]
  }

  private func result(_ tensor: Operand, _ shape: Operand) throws(Diagnostic) -> Shape {
    let vector = try shape.shape(ofRank: 1, "shape")
    guard var extents = shape.elements else {
      return try vector[0].known.map { rank throws(Diagnostic) in try .unknown(ofRank: rank, "shape") } ?? .unknown
    }
    let wildcards = extents.indices.filter { extents[$0].known == -1 }
    guard wildcards.count <= 1, extents.allSatisfy({ ($0.known ?? 0) >= -1 }) else {
      throw Diagnostic("", operand: "shape", required: "extents of 0 or more, and -1 at most once", found: "\(extents)")
    }
    func mismatch() -> Diagnostic {
      Diagnostic(
        "the shapes have different numbers of elements", operand: "shape",
        required: "as many elements as \(tensor.type)",
        found: "\(extents)")
    }
    guard let total = tensor.shape.elementCount else {
      for i in wildcards { extents[i] = .fresh() }
      return Shape(extents)
    }
    guard let wildcard = wildcards.first else {
      let count = extents.reduce(1, *)
      if let difference = (count - total).known, difference != 0 { throw mismatch() }
      return Shape(extents)
    }
    extents[wildcard] = 1
    let others = extents.reduce(1, *)
    if others.known == 0 {
      // Nothing says how large the extent is; as TensorFlow has it, 0.
      guard total.known ?? 0 == 0 else { throw mismatch() }
      extents[wildcard] = 0
    } else if let quotient = total.exactlyDivided(by: others) {
      extents[wildcard] = quotient
    } else {
      extents[wildcard] = -1
      if total.known != nil, others.known != nil { throw mismatch() }
      extents[wildcard] = total.floorDivided(by: others)
    }
    return Shape(extents)
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    [.dense(reshape(g.dy, as: g.operands[0])), .none]
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { l.reshaped() }
}

/// An array with a further dimension of extent 1; the axis counts in the result.
public struct ExpandDims: Operation {
  public init() {}
  public static let schema = Schema(
    "ExpandDims", inputs: ["input": "T", "dim": "Tdim"], outputs: ["output": "T"], types: ["T": .any, "Tdim": .index])
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let type = operands[0].elementType ?? .float32
    let axis = try operands[1].axis(of: operands[0].shape.rank.map { $0 + 1 }, "dim")
    guard var extents = operands[0].shape.dimensions else { return [Inference(type, .unknown)] }
    guard let axis else { return [Inference(type, Shape(unknownOfRank: extents.count + 1))] }
    extents.insert(1, at: axis)
    return [Inference(type, Shape(extents), known: operands[0].known?.reshaped(Shape(extents)))]
  }
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    [.dense(reshape(g.dy, as: g.operands[0])), .none]
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { l.reshaped() }
}

/// An array without dimensions of extent 1: those listed, or all if none is.
public struct Squeeze: Operation {
  public var axes: [Int] = []
  public init() {}
  public init(axes: [Int]) { self.axes = axes }
  public static let schema = Schema("Squeeze", inputs: ["input": "T"], outputs: ["output": "T"], types: ["T": .any])
  public static let attributeTable: AttributeTable<Squeeze> = [AttributeField("squeeze_dims", \.axes)]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let type = operands[0].elementType ?? .float32
    guard let extents = operands[0].shape.dimensions else { return [Inference(type, .unknown)] }
    var isDropped = [Bool](repeating: false, count: extents.count)
    for axis in axes {
      let axis = try normalizedAxis(axis, rank: extents.count, "squeeze_dims")
      if let extent = extents[axis].known, extent != 1 {
        throw Diagnostic(
          "", operand: "input", required: "extent 1 along the axis \(axis) that is squeezed",
          found: "\(operands[0].type)")
      }
      isDropped[axis] = true
    }
    if axes.isEmpty {
      // An extent that is unknown now may turn out to be 1.
      guard operands[0].shape.isFullyKnown else { return [Inference(type, .unknown)] }
      for (i, extent) in extents.enumerated() { isDropped[i] = extent.known == 1 }
    }
    let shape = Shape(zip(extents, isDropped).filter { !$0.1 }.map(\.0))
    return [Inference(type, shape, known: operands[0].known?.reshaped(shape))]
  }
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    [.dense(reshape(g.dy, as: g.operands[0]))]
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { l.reshaped() }
}

extension KnownValue {
  /// The same elements under another shape; nil if that shape is not known.
  func reshaped(_ shape: Shape) -> KnownValue? {
    guard let extents = shape.known, extents.reduce(1, *) == elements.count else { return nil }
    return KnownValue(elements, shape: extents)
  }
}

extension LoweringContext {
  /// Operand 0 under the result's shape.
  func reshaped() -> Lowering {
    let type = operandTypes[0]
    var b = builder()
    let result = b.map("Reshape", type.elementType, resultShape(0)) { b, axes in
      let indices = reshapedIndices(&b, axes, from: resultShape(0), to: type.extents)
      return b.load(.input(0), type.elementType, at: indices)
    }
    return .reshape(b.finish([result]))
  }
}

/// The indices in an array of extents `target` of the element that stands at `axes` in the same elements under the
/// extents `source`.
///
/// The shapes are cut into the shortest runs of dimensions with equal products, so that only within such a run do
/// indices meet in products and quotients; a dimension that both shapes have keeps its index.
func reshapedIndices(
  _ b: inout ScalarBuilder, _ axes: [Scalar], from source: [Int], to target: [Int]
) -> [Scalar] {
  guard !source.contains(0) else { return target.map { _ in b.integer(0) } }
  var indices: [Scalar] = []
  var i = 0
  while indices.count < target.count {
    let first = indices.count
    var (end, products) = (first, (source: 1, target: 1))
    let start = i
    repeat {
      if end == first || products.target < products.source {
        products.target *= target[end]
        end += 1
      } else {
        products.source *= source[i]
        i += 1
      }
    } while products.source != products.target
    // The position within the run, from its dimensions in the source …
    var position: Scalar?
    for k in start..<i where source[k] != 1 {
      position = position.map { b.add(b.multiply($0, b.integer(source[k])), axes[k]) } ?? axes[k]
    }
    // … taken apart into those in the target, the innermost first.
    var run: [Scalar] = []
    let wide = (first..<end).filter { target[$0] != 1 }
    for k in (first..<end).reversed() {
      guard target[k] != 1, let rest = position else {
        run.append(b.integer(0))
        continue
      }
      if k == wide.first {
        run.append(rest)
      } else {
        run.append(b.floorModulo(rest, b.integer(target[k])))
        position = b.floorDivide(rest, b.integer(target[k]))
      }
    }
    indices += run.reversed()
  }
  return indices
}

/// The same elements in row-major order under another shape; one extent may be −1, and is what remains.
public func reshape(_ x: Output, _ shape: [Int], name: String? = nil) -> Output {
  reshape(x, to: x.vector(shape), name: name)
}

/// The same elements under the shape that a vector of integers gives.
public func reshape(_ x: Output, to shape: Output, name: String? = nil) -> Output {
  x.graph.addOne(Reshape(), [x, shape], name: name)
}

/// The same elements under the shape of another array.
func reshape(_ x: Output, as other: Output) -> Output {
  x.shape == other.shape && x.shape.rank != nil ? x : reshape(x, to: shapeVector(of: other))
}

/// An array with a further dimension of extent 1 at `axis` of the result; −1 puts it last.
public func expandDims(_ x: Output, axis: Int, name: String? = nil) -> Output {
  x.graph.addOne(ExpandDims(), [x, x.integer(axis)], name: name)
}

/// An array without the dimensions at `axes`, each of extent 1; without all dimensions of extent 1 if none is given.
public func squeeze(_ x: Output, axes: [Int] = [], name: String? = nil) -> Output {
  x.graph.addOne(Squeeze(axes: axes), [x], name: name)
}
