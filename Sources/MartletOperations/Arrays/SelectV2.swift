import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The element of `t` where the condition is true, else that of `e`, with broadcasting.
public struct SelectV2: Elementwise {
  public init() {}
  public static let schema = Schema(
    "SelectV2", inputs: ["condition": "bool", "t": "T", "e": "T"], outputs: ["output": "T"], types: ["T": .any],
    traits: [.pure, .elementwise])
  public func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar { b.select(x[0], x[1], x[2]) }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let zero = g.dy.scalar(0)
    return [
      .none,
      g.isNeeded[1] ? .dense(sumToShape(select(g.operands[0], g.dy, zero), of: g.operands[1])) : .none,
      g.isNeeded[2] ? .dense(sumToShape(select(g.operands[0], zero, g.dy), of: g.operands[2])) : .none,
    ]
  }
}

/// The older selection of TensorFlow: the operands have one shape, and so has the condition, or it is a scalar, or a vector that
/// chooses along the first dimension.
public struct Select: Operation {
  public init() {}
  public static let schema = Schema(
    "Select", inputs: ["condition": "bool", "t": "T", "e": "T"], outputs: ["output": "T"], types: ["T": .any])

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    let (condition, t, e) = (operands[0], operands[1], operands[2])
    guard let shape = t.shape.merged(with: e.shape) else {
      throw Diagnostic("", operand: "e", required: "the shape of t, \(t.shape)", found: "\(e.type)")
    }
    if let given = condition.shape.dimensions, let extents = shape.dimensions {
      let matches = given.count == 1 && !extents.isEmpty ? Shape([extents[0]]) : given.isEmpty ? .scalar : shape
      guard condition.shape.merged(with: matches) != nil else {
        throw Diagnostic(
          "", operand: "condition", required: "the shape \(shape), its first dimension, or none",
          found: "\(condition.type)",
          hint: "SelectV2 broadcasts")
      }
    }
    return [Inference(t.elementType ?? e.elementType ?? .float32, shape)]
  }

  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] {
    let zeros = zerosLike(g.dy)
    return [
      .none,
      g.isNeeded[1] ? .dense(g.graph.addOne(Select(), [g.operands[0], g.dy, zeros])) : .none,
      g.isNeeded[2] ? .dense(g.graph.addOne(Select(), [g.operands[0], zeros, g.dy])) : .none,
    ]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let condition = l.operandShape(0)
    let rank = l.resultShape(0).count
    return .composite { expansion throws(Diagnostic) in
      let operands = expansion.operands
      let isRows = condition.count == 1 && rank > 1
      let chosen = isRows ? reshape(operands[0], condition + Array(repeating: 1, count: rank - 1)) : operands[0]
      return [select(chosen, operands[1], operands[2])]
    }
  }
}

/// The element of `x` where `condition`, an array of `bool`, is true, else that of `y`; with broadcasting.
public func select(_ condition: Output, _ x: Output, _ y: Output, name: String? = nil) -> Output {
  x.graph.addOne(SelectV2(), [condition, x, y], name: name)
}
