import MartletDiagnostics
import MartletTensors

/// A step of an optimizer as one operation: it gives variables new values, which are expressions of those they have.
///
/// Its first operands are the variables; it has no results.
public protocol UpdateOperation: Operation {
  /// How many of the operands are variables.
  static var variableCount: Int { get }
  /// The variables' new values, in their order.
  ///
  /// - Parameter operands: the node's, with the values that the variables have in the place of the variables.
  func updated(_ operands: [Output]) throws(Diagnostic) -> [Output]
}

extension UpdateOperation {
  public var stateRole: StateRole { .update(variables: Self.variableCount) }
  public var differentiation: Differentiation { .none("it has no results") }

  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    throw Diagnostic("'\(l.name)' uses a variable in a way that cannot be compiled")
  }

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    var contents: [TensorType] = []
    for (i, operand) in operands.prefix(Self.variableCount).enumerated() {
      guard case .resource(let content) = operand.type else {
        throw Diagnostic(
          "a variable is needed", operand: schema.inputName(i, of: operands.count), required: "a variable",
          found: "\(operand.type)")
      }
      contents.append(content)
    }
    let variable = contents[0]
    func check(_ type: TensorType?, _ i: Int) throws(Diagnostic) {
      guard let type else { return }
      let name = schema.inputName(i, of: operands.count)
      let isArray = i < Self.variableCount || name == "grad" || name == "delta"
      let shape = isArray ? variable.shape : []
      guard type.elementType != variable.elementType || !type.shape.isCompatible(with: shape) else { return }
      throw Diagnostic(
        isArray ? "the array does not fit the variable" : "a number of the variable's element type is needed",
        operand: name, required: "\(TensorType(variable.elementType, shape))", found: "\(type)")
    }
    for (i, content) in contents.enumerated() { try check(content, i) }
    for (i, operand) in operands.enumerated().dropFirst(Self.variableCount) { try check(operand.type.tensor, i) }
    return []
  }
}
