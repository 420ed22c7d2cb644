import MartletDiagnostics
import MartletGraph

/// Nothing; a node to hang control edges on.
public struct NoOp: Operation {
  public init() {}
  public static let schema = Schema("NoOp", inputs: [:], outputs: [:], traits: [])
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] { [] }
  public var differentiation: Differentiation { .none("it has no operands") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { .nothing }
}
