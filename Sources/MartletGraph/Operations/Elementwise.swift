import MartletDiagnostics
import MartletLoopIR
import MartletTensors

/// An operation that works on each element alone, with NumPy's broadcasting: its scalar body gives inference, lowering,
/// fusion and folding.
public protocol Elementwise: Operation {
  /// The result's element from the operands' elements.
  func scalar(_ b: inout ScalarBuilder, _ x: [Scalar]) -> Scalar
  /// The element type of the result, given those of the operands.
  func resultType(_ operands: [ElementType]) -> ElementType
}

extension Elementwise {
  /// The type of the first operand that has the result's type variable.
  public func resultType(_ operands: [ElementType]) -> ElementType {
    let output = schema.outputs[0].type
    if let named = ElementType(name: output) { return named }
    let index = schema.inputs.firstIndex { $0.type == output } ?? 0
    return operands[index]
  }

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    var shape = operands[0].shape
    for (i, operand) in operands.enumerated().dropFirst() {
      guard let both = shape.broadcast(with: operand.shape) else {
        throw Diagnostic(
          "the operands' shapes cannot be broadcast together", operand: schema.inputName(i, of: operands.count),
          required: "a shape that goes with \(shape)", found: "\(operand.type)",
          hint: "two dimensions go together if they are equal or one of them is 1")
      }
      shape = both
    }
    return [Inference(resultType(operands.map { $0.elementType ?? .float32 }), shape)]
  }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    let type = l.results[0].elementType
    let extents = l.resultShape(0)
    let operands = l.operandTypes
    var b = l.builder()
    let result = b.map(schema.name, type, extents) { b, axes in
      let elements = operands.enumerated().map { i, operand in
        b.load(.input(i), operand.elementType, at: broadcastIndices(&b, axes, operand.extents))
      }
      return scalar(&b, elements)
    }
    return .compute(b.finish([result]))
  }
}

/// The indices at which an operand of shape `extents` is read for the element at `axes` of a broadcast result.
public func broadcastIndices(_ b: inout ScalarBuilder, _ axes: [Scalar], _ extents: [Int]) -> [Scalar] {
  let offset = axes.count - extents.count
  return extents.enumerated().map { i, extent in extent == 1 ? b.integer(0) : axes[offset + i] }
}
