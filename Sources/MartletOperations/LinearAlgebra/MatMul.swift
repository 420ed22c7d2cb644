import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The matrix product of two matrices, either of which may be read transposed.
public struct MatMul: Operation {
  public var transposeA = false
  public var transposeB = false
  public init() {}
  public init(transposeA: Bool, transposeB: Bool) { (self.transposeA, self.transposeB) = (transposeA, transposeB) }

  public static let schema = Schema(
    "MatMul", inputs: ["a": "T", "b": "T"], outputs: ["product": "T"], types: ["T": .numeric])
  public static let attributeTable: AttributeTable<MatMul> = [
    AttributeField("transpose_a", \.transposeA), AttributeField("transpose_b", \.transposeB),
  ]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let a = try operands[0].shape(ofRank: 2, "a")
    let b = try operands[1].shape(ofRank: 2, "b")
    try checkInner(
      operands[0].type, a[transposeA ? 0 : 1], transposeA, operands[1].type, b[transposeB ? 1 : 0], transposeB,
      names: ("a", "b"))
    return [Inference(operands[0].elementType ?? .float32, Shape([a[transposeA ? 1 : 0], b[transposeB ? 0 : 1]]))]
  }

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (a, b, dy) = (g.operands[0], g.operands[1], g.dy)
    return productGradients(g, a, b, dy, transposeA, transposeB) { x, y, transposeX, transposeY in
      matMul(x, y, transposeA: transposeX, transposeB: transposeY)
    }
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let extents = l.resultShape(0)
    let k = l.operandShape(0)[transposeA ? 0 : 1]
    return product(
      l, "MatMul", k: k, batchExtents: [],
      MatrixProduct(
        elementType: l.results[0].elementType, m: extents[0], n: extents[1], k: k, transposeA: transposeA,
        transposeB: transposeB))
  }
}

/// The products of stacks of matrices, either of which may be read transposed; the dimensions before the last two
/// broadcast.
public struct BatchMatMulV2: Operation {
  public var adjX = false
  public var adjY = false
  public init() {}
  public init(adjX: Bool, adjY: Bool) { (self.adjX, self.adjY) = (adjX, adjY) }

  public static let schema = Schema(
    "BatchMatMulV2", inputs: ["x": "T", "y": "T"], outputs: ["output": "T"], types: ["T": .numeric])
  public static let attributeTable: AttributeTable<BatchMatMulV2> = [
    AttributeField("adj_x", \.adjX), AttributeField("adj_y", \.adjY),
  ]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let type = operands[0].elementType ?? .float32
    for (operand, name) in zip(operands, ["x", "y"]) {
      if let rank = operand.shape.rank, rank < 2 {
        throw Diagnostic("", operand: name, required: "two dimensions or more", found: "\(operand.type)")
      }
    }
    guard let x = operands[0].shape.dimensions, let y = operands[1].shape.dimensions else {
      return [Inference(type, .unknown)]
    }
    try checkInner(
      operands[0].type, x[x.count - (adjX ? 2 : 1)], adjX, operands[1].type, y[y.count - (adjY ? 1 : 2)], adjY,
      names: ("x", "y"))
    guard let batch = Shape(Array(x.dropLast(2))).broadcast(with: Shape(Array(y.dropLast(2))))?.dimensions else {
      throw Diagnostic(
        "the stacks of matrices cannot be broadcast together", operand: "y",
        required: "dimensions before the last two that go with those of \(operands[0].type)",
        found: "\(operands[1].type)")
    }
    return [Inference(type, Shape(batch + [x[x.count - (adjX ? 1 : 2)], y[y.count - (adjY ? 2 : 1)]]))]
  }

  public func gradient(_ g: inout GradientContext) -> [Cotangent] {
    let (x, y, dy) = (g.operands[0], g.operands[1], g.dy)
    let plain = productGradients(g, x, y, dy, adjX, adjY) { x, y, adjX, adjY in
      batchMatMul(x, y, adjointX: adjX, adjointY: adjY)
    }
    return zip(plain, g.operands).map { cotangent, operand in
      if case .dense(let value) = cotangent { .dense(sumToShape(value, of: operand)) } else { .none }
    }
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let (x, y, result) = (l.operandShape(0), l.operandShape(1), l.resultShape(0))
    let batch = Array(result.dropLast(2))
    let k = x[x.count - (adjX ? 2 : 1)]
    var contract = MatrixProduct(
      elementType: l.results[0].elementType, m: result[batch.count], n: result[batch.count + 1], k: k,
      transposeA: adjX, transposeB: adjY, batch: batch.reduce(1, *))
    if y.count == 2 || y.dropLast(2).allSatisfy({ $0 == 1 }), !adjX, Array(x.dropLast(2)) == batch {
      // One matrix for the whole stack: the stack of rows is one tall matrix.
      contract.m *= contract.batch
      contract.batch = 1
    } else if Array(x.dropLast(2)) != batch || Array(y.dropLast(2)) != batch {
      let operation = self
      return .composite { (expansion) throws(Diagnostic) in
        let whole = zip(expansion.operands, [x, y]).map { operand, shape in
          Array(shape.dropLast(2)) == batch ? operand : broadcast(operand, to: batch + shape.suffix(2))
        }
        return [expansion.graph.addOne(operation, whole)]
      }
    }
    return product(l, "BatchMatMul", k: k, batchExtents: batch, contract)
  }
}

private func checkInner(
  _ a: ValueType, _ columns: Dimension, _ isATransposed: Bool, _ b: ValueType, _ rows: Dimension,
  _ isBTransposed: Bool, names: (String, String)
) throws(Diagnostic) {
  guard Shape([columns]).isCompatible(with: Shape([rows])) else {
    throw Diagnostic(
      "must have \(columns) \(isBTransposed ? "columns" : "rows") to match '\(names.0)' \(a.shape)"
        + (isATransposed ? ", read transposed" : ""),
      operand: names.1, found: "\(b)",
      hint: "transpose one of the two, or mend the number of \(isBTransposed ? "columns" : "rows")")
  }
}

/// The four cases of the gradient of op(a) · op(b).
private func productGradients(
  _ g: GradientContext, _ a: Output, _ b: Output, _ dy: Output, _ transposeA: Bool, _ transposeB: Bool,
  _ multiply: (Output, Output, Bool, Bool) -> Output
) -> [Cotangent] {
  var result: [Cotangent] = [.none, .none]
  if g.isNeeded[0] {
    result[0] = .dense(transposeA ? multiply(b, dy, transposeB, true) : multiply(dy, b, false, !transposeB))
  }
  if g.isNeeded[1] {
    result[1] = .dense(transposeB ? multiply(dy, a, true, transposeA) : multiply(a, dy, !transposeA, false))
  }
  return result
}

/// The product as a library call where the type has one, with its meaning in stages.
private func product(
  _ l: LoweringContext, _ name: String, k: Int, batchExtents: [Int], _ contract: MatrixProduct
) -> Lowering {
  let type = contract.elementType
  let operands = l.operandTypes
  let batchRank = batchExtents.count
  var b = l.builder()
  let result = b.reduce(name, type, l.resultShape(0), over: [k], .sum) { b, axes, inner in
    let batch = Array(axes.prefix(batchRank))
    func load(_ i: Int, _ row: Scalar, _ column: Scalar, _ isTransposed: Bool) -> Scalar {
      let extents = Array(operands[i].extents.dropLast(2))
      let matrix = isTransposed ? [column, row] : [row, column]
      return b.load(.input(i), type, at: broadcastIndices(&b, batch, extents) + matrix)
    }
    let x = load(0, axes[batchRank], inner[0], contract.transposeA)
    let y = load(1, inner[0], axes[batchRank + 1], contract.transposeB)
    return b.multiply(x, y)
  }
  let program = b.finish([result])
  return type.isFloatingPoint ? .library(.matrixProduct(contract), reference: program) : .compute(program)
}

/// The product of two matrices, either of which may be read transposed.
///
/// ```swift
/// let y = matMul(x, weights)  // [n, 784] · [784, 10] = [n, 10]
/// ```
public func matMul(
  _ a: Output, _ b: Output, transposeA: Bool = false, transposeB: Bool = false, name: String? = nil
) -> Output {
  a.graph.addOne(MatMul(transposeA: transposeA, transposeB: transposeB), [a, b], name: name)
}

/// The products of two stacks of matrices, either of which may be read transposed. The dimensions before the last two
/// broadcast.
public func batchMatMul(
  _ x: Output, _ y: Output, adjointX: Bool = false, adjointY: Bool = false, name: String? = nil
) -> Output {
  x.graph.addOne(BatchMatMulV2(adjX: adjointX, adjY: adjointY), [x, y], name: name)
}
