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
  /// The result's element from the operands' elements, for integers that are known while the graph is built; nil, by
  /// default, where it is not followed.
  func known(_ elements: [Dimension]) -> Dimension?
}

extension Elementwise {
  /// The type of the first operand that has the result's type variable.
  public func resultType(_ operands: [ElementType]) -> ElementType {
    let schema = schema
    let output = schema.outputs[0].type
    if schema.types(of: output) == nil, let named = ElementType(name: output) { return named }
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
    let type = resultType(operands.map { $0.elementType ?? .float32 })
    return [Inference(type, shape, known: known(operands, type, shape))]
  }

  public func known(_ elements: [Dimension]) -> Dimension? { nil }

  private func known(_ operands: [Operand], _ type: ElementType, _ shape: Shape) -> KnownValue? {
    let values = operands.compactMap(\.known)
    guard values.count == operands.count, type == .int32 || type == .int64, let extents = shape.known,
      values.allSatisfy({ $0.elements.count == 1 || $0.shape == extents })
    else { return nil }
    let count = extents.reduce(1, *)
    guard count <= KnownValue.maximumCount else { return nil }
    var elements: [Dimension] = []
    for i in 0..<count {
      guard let element = known(values.map { $0.elements.count == 1 ? $0.elements[0] : $0.elements[i] }) else {
        return nil
      }
      // What would wrap is not followed.
      if let number = element.known, type == .int32, Int32(exactly: number) == nil { return nil }
      elements.append(element)
    }
    return KnownValue(elements, shape: extents)
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
