import MartletDiagnostics
import MartletGraph
import MartletTensors

/// A variable: an array that a session keeps from run to run. The result is the variable itself, not its value.
public struct VarHandleOp: Operation {
  public var container = ""
  /// The variable's name; two handles of one name are one variable.
  public var sharedName = ""
  public var elementType = ElementType.float32
  public var shape = Shape.unknown

  public init() {}
  public init(_ elementType: ElementType, shape: Shape, sharedName: String) {
    (self.elementType, self.shape, self.sharedName) = (elementType, shape, sharedName)
  }

  public static let schema = Schema("VarHandleOp", inputs: [:], outputs: ["resource": "resource"], traits: [])
  public static let attributeTable: AttributeTable<VarHandleOp> = [
    AttributeField("container", \.container), AttributeField("shared_name", \.sharedName),
    AttributeField("dtype", \.elementType), AttributeField("shape", \.shape),
  ]

  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    [Inference(.resource(TensorType(elementType, shape)))]
  }
  public var stateRole: StateRole { .variable(container.isEmpty ? sharedName : "\(container)/\(sharedName)") }
  public var differentiation: Differentiation { .none("it has no operands") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { .bound }
}

/// The value of a variable at this point of a run.
public struct ReadVariableOp: Operation {
  public init() {}
  public static let schema = Schema(
    "ReadVariableOp", inputs: ["resource": "resource"], outputs: ["value": "dtype"], types: ["dtype": .any],
    traits: [])
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    [Inference(.tensor(try operands[0].variable()))]
  }
  public var stateRole: StateRole { .read }
  /// The gradient of a variable is that of its value.
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] { [.dense(g.dy)] }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { throw unpromoted(l) }
}

/// Whether a variable has been given a value.
public struct VarIsInitializedOp: Operation {
  public init() {}
  public static let schema = Schema(
    "VarIsInitializedOp", inputs: ["resource": "resource"], outputs: ["is_initialized": "bool"], traits: [])
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    _ = try operands[0].variable()
    return [Inference(.bool, .scalar)]
  }
  public var differentiation: Differentiation { .none("the result is Boolean") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { throw unpromoted(l) }
}

/// Makes an array the value of a variable.
public struct AssignVariableOp: Operation {
  /// Whether the array must have the variable's shape; Martlet requires it in any case.
  public var validateShape = false
  public init() {}
  public static let schema = Schema(
    "AssignVariableOp", inputs: ["resource": "resource", "value": "dtype"], outputs: [:], types: ["dtype": .any],
    traits: [])
  public static let attributeTable: AttributeTable<AssignVariableOp> = [
    AttributeField("validate_shape", \.validateShape)
  ]
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    try checkAssignment(operands)
    return []
  }
  public var stateRole: StateRole { .assign }
  public var differentiation: Differentiation { .none("it has no results") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { throw unpromoted(l) }
}

/// Adds an array to a variable.
public struct AssignAddVariableOp: Operation {
  public init() {}
  public static let schema = Schema(
    "AssignAddVariableOp", inputs: ["resource": "resource", "value": "dtype"], outputs: [:],
    types: ["dtype": .numeric], traits: [])
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    try checkAssignment(operands)
    return []
  }
  public var stateRole: StateRole { .accumulate(negated: false) }
  public var differentiation: Differentiation { .none("it has no results") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { throw unpromoted(l) }
}

/// Subtracts an array from a variable.
public struct AssignSubVariableOp: Operation {
  public init() {}
  public static let schema = Schema(
    "AssignSubVariableOp", inputs: ["resource": "resource", "value": "dtype"], outputs: [:],
    types: ["dtype": .numeric], traits: [])
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    try checkAssignment(operands)
    return []
  }
  public var stateRole: StateRole { .accumulate(negated: true) }
  public var differentiation: Differentiation { .none("it has no results") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { throw unpromoted(l) }
}

extension Operand {
  /// What the variable that this operand is holds.
  fileprivate func variable() throws(Diagnostic) -> TensorType {
    guard case .resource(let content) = type else {
      throw Diagnostic("a variable is needed", operand: "resource", required: "a variable", found: "\(type)")
    }
    return content
  }
}

/// Throws unless operand 1 may become the value of the variable that is operand 0.
private func checkAssignment(_ operands: [Operand]) throws(Diagnostic) {
  let variable = try operands[0].variable()
  guard let value = operands[1].type.tensor else { return }
  guard value.elementType == variable.elementType, value.shape.isCompatible(with: variable.shape) else {
    throw Diagnostic(
      "the value does not fit the variable", operand: "value", required: "\(variable)", found: "\(value)",
      hint: value.elementType == variable.elementType ? nil : "convert it with cast(_:to:)")
  }
}

/// Variables are values before anything is lowered.
private func unpromoted(_ l: LoweringContext) -> Diagnostic {
  Diagnostic("'\(l.name)' uses a variable in a way that cannot be compiled")
}

extension Graph {
  /// A variable itself; see ``readVariable(_:name:)`` for its value.
  ///
  /// - Parameter name: the name of the node; with the scopes it is in, also the variable's name.
  public func variableHandle(_ type: ElementType, shape: Shape, name: String) -> Output {
    let scope = currentScope
    var wanted = name
    var number = 0
    // Two nodes would otherwise get one variable by their equal names.
    while node(named: scope.isEmpty ? wanted : "\(scope)/\(wanted)") != nil {
      number += 1
      wanted = "\(name)_\(number)"
    }
    let operation = VarHandleOp(type, shape: shape, sharedName: scope.isEmpty ? wanted : "\(scope)/\(wanted)")
    return addOne(operation, name: wanted)
  }
}

/// The value of a variable at this point of a run: after the assignments that control dependencies put before it.
public func readVariable(_ variable: Output, name: String? = nil) -> Output {
  variable.graph.addOne(ReadVariableOp(), [variable], name: name)
}

/// The node that makes `value` the value of a variable.
@discardableResult
public func assign(_ variable: Output, _ value: Output, name: String? = nil) -> GraphNode {
  variable.graph.addNode(AssignVariableOp(), [variable, value], name: name)
}

/// The node that adds `value` to a variable.
@discardableResult
public func assignAdd(_ variable: Output, _ value: Output, name: String? = nil) -> GraphNode {
  variable.graph.addNode(AssignAddVariableOp(), [variable, value], name: name)
}

/// The node that subtracts `value` from a variable.
@discardableResult
public func assignSub(_ variable: Output, _ value: Output, name: String? = nil) -> GraphNode {
  variable.graph.addNode(AssignSubVariableOp(), [variable, value], name: name)
}
