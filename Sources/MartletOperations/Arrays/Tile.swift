import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// An array repeated `multiples[i]` times along axis i.
public struct Tile: Operation {
  public init() {}
  public static let schema = Schema(
    "Tile", inputs: ["input": "T", "multiples": "Tmultiples"], outputs: ["output": "T"],
    types: ["T": .any, "Tmultiples": .index])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let type = operands[0].elementType ?? .float32
    let multiples = try operands[1].shapeValue("multiples")
    guard let extents = operands[0].shape.dimensions else {
      guard let rank = multiples.rank else { return [Inference(type, .unknown)] }
      return [Inference(type, Shape(unknownOfRank: rank))]
    }
    if let count = multiples.rank, count != extents.count {
      throw Diagnostic(
        "", operand: "multiples", required: "one number for each of \(extents.count) dimensions", found: "\(count)")
    }
    guard let factors = multiples.dimensions else { return [Inference(type, Shape(unknownOfRank: extents.count))] }
    return [Inference(type, Shape(zip(extents, factors).map { $0 * $1 }))]
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let (x, multiples) = (g.operands[0], g.operands[1])
    // With one more dimension for each repeated one, the copies add up along it.
    if let factors = multiples.operand.integers, let extents = x.shape.known {
      var apart: [Int] = []
      var together: [Int] = []
      for (factor, extent) in zip(factors, extents) {
        apart += factor == 1 ? [extent] : [factor, extent]
        together += factor == 1 ? [extent] : [1, extent]
      }
      let sum = sumToShape(reshape(g.dy, apart), g.dy.vector(together))
      return [.dense(reshape(sum, extents)), .none]
    }
    let extents = shape(of: x, type: multiples.elementType)
    let apart = reshape(stack([multiples, extents], axis: 1), [-1])
    let together = reshape(stack([onesLike(multiples), extents], axis: 1), [-1])
    return [.dense(reshape(sumToShape(reshape(g.dy, to: apart), together), to: extents)), .none]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.operandTypes[0]
    let multiples = try l.integers(1, "multiples")
    var b = l.builder()
    let result = b.map("Tile", type.elementType, l.resultShape(0)) { b, axes in
      let indices = axes.indices.map { i in
        multiples[i] == 1
          ? axes[i]
          : type.extents[i] == 1 ? b.integer(0) : b.floorModulo(axes[i], b.integer(type.extents[i]))
      }
      return b.load(.input(0), type.elementType, at: indices)
    }
    return .view(b.finish([result]))
  }
}

/// An array repeated `multiples[i]` times along axis i.
public func tile(_ x: Output, multiples: [Int], name: String? = nil) -> Output {
  tile(x, multiples: x.vector(multiples), name: name)
}

/// An array repeated along each axis as often as a vector says.
public func tile(_ x: Output, multiples: Output, name: String? = nil) -> Output {
  x.graph.addOne(Tile(), [x, multiples], name: name)
}
