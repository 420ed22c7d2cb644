import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// An array stretched to a shape by NumPy's rules.
public struct BroadcastTo: Operation {
  public init() {}
  public static let schema = Schema(
    "BroadcastTo", inputs: ["input": "T", "shape": "Tidx"], outputs: ["output": "T"],
    types: ["T": .any, "Tidx": .index])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let shape = try operands[1].shapeValue("shape")
    guard operands[0].shape.stretches(to: shape) else {
      throw Diagnostic(
        "", operand: "input", required: "a shape that can be stretched to \(shape)", found: "\(operands[0].type)",
        hint: "a dimension can be stretched if it is 1")
    }
    return [Inference(operands[0].elementType ?? .float32, shape)]
  }
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    [.dense(sumToShape(g.dy, of: g.operands[0])), .none]
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.operandTypes[0]
    var b = l.builder()
    let result = b.map("BroadcastTo", type.elementType, l.resultShape(0)) { b, axes in
      b.load(.input(0), type.elementType, at: broadcastIndices(&b, axes, type.extents))
    }
    return .view(b.finish([result]))
  }
}

/// What undoes a broadcast in gradients: the sum over every dimension that stretching `shape` to the operand's shape has
/// added or stretched. In a GraphDef it is a sum and a reshape.
public struct SumToShape: ExportedOperation {
  public init() {}
  public static let schema = Schema(
    "_SumToShape", inputs: ["input": "T", "shape": "Tidx"], outputs: ["output": "T"],
    types: ["T": .numeric, "Tidx": .index])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let shape = try operands[1].shapeValue("shape")
    guard shape.stretches(to: operands[0].shape) else {
      throw Diagnostic(
        "", operand: "input", required: "a shape to which \(shape) can be stretched", found: "\(operands[0].type)")
    }
    return [Inference(operands[0].elementType ?? .float32, shape)]
  }
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    [.dense(broadcast(g.dy, to: shapeVector(of: g.operands[0]))), .none]
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.operandTypes[0]
    let extents = l.resultShape(0)
    let offset = type.extents.count - extents.count
    let isReduced = type.extents.enumerated().map { i, extent in
      i < offset || (extents[i - offset] == 1 && extent != 1)
    }
    let reduced = zip(type.extents, isReduced).filter(\.1).map(\.0)
    var b = l.builder()
    guard !reduced.isEmpty else { return l.reshaped() }
    let result = b.reduce("SumToShape", type.elementType, extents, over: reduced, .sum) { b, axes, others in
      var next = others.makeIterator()
      let indices = isReduced.enumerated().map { i, isReduced in
        isReduced ? next.next() ?? b.integer(0) : axes[i - offset]
      }
      return b.load(.input(0), type.elementType, at: indices)
    }
    return .compute(b.finish([result]))
  }
}

extension SumToShape {
  public func exported(_ expansion: Expansion) throws(Diagnostic) -> [Output]? {
    let (x, shape) = (expansion.operands[0], expansion.operands[1])
    let known = stretchedAxes(x, shape)
    if known == [] { return [reshape(x, to: shape)] }
    let axes = known.map { x.vector($0) } ?? dynamicAxes(x, shape, expansion.graph)
    return [reshape(expansion.graph.addOne(Sum(), [x, axes]), to: shape)]
  }

  /// The axes of `x` that are summed, where the shapes tell.
  private func stretchedAxes(_ x: Output, _ shape: Output) -> [Int]? {
    guard let long = x.shape.dimensions, let short = shape.operand.elements, short.count <= long.count else {
      return nil
    }
    let offset = long.count - short.count
    var axes = Array(0..<offset)
    for (i, extent) in short.enumerated() where extent != long[offset + i] {
      guard extent.known == 1 else { return nil }
      axes.append(offset + i)
    }
    return axes
  }

  private func dynamicAxes(_ x: Output, _ shape: Output, _ graph: Graph) -> Output {
    let own = MartletOperations.shape(of: x, type: shape.elementType)
    return graph.add(BroadcastGradientArgs(), [shape, own])[0]
  }
}

extension Shape {
  /// Whether an array of this shape could be stretched to another by NumPy's rules, as far as both are known.
  func stretches(to other: Shape) -> Bool {
    guard let short = dimensions, let long = other.dimensions else { return true }
    guard short.count <= long.count else { return false }
    let offset = long.count - short.count
    return short.indices.allSatisfy { i in
      let (a, b) = (short[i], long[offset + i])
      return a == b || a.known == nil || a.known == 1 || b.known == nil
    }
  }
}

/// An array stretched to `shape` by NumPy's rules.
public func broadcast(_ x: Output, to shape: [Int], name: String? = nil) -> Output {
  broadcast(x, to: x.vector(shape), name: name)
}

/// An array stretched to the shape that a vector gives.
public func broadcast(_ x: Output, to shape: Output, name: String? = nil) -> Output {
  x.graph.addOne(BroadcastTo(), [x, shape], name: name)
}

/// The sum of `x` over what stretching `shape`, a vector, to the shape of `x` has added or stretched.
public func sumToShape(_ x: Output, _ shape: Output, name: String? = nil) -> Output {
  x.graph.addOne(SumToShape(), [x, shape], name: name)
}

/// The sum of `x` over what stretching the shape of `operand` to that of `x` has added or stretched; `x` itself where the
/// shapes are known to agree.
///
/// A gradient rule undoes broadcasting with it: `.dense(sumToShape(g.dy * y, of: g.operands[0]))`.
public func sumToShape(_ x: Output, of operand: Output) -> Output {
  if x.shape.rank != nil, x.shape == operand.shape { return x }
  return sumToShape(x, shapeVector(of: operand))
}
