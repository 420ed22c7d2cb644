import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletTensors

/// The operand itself.
public struct Identity: Operation {
  public init() {}
  public static let schema = Schema("Identity", inputs: ["input": "T"], outputs: ["output": "T"], types: ["T": .any])
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    [Inference(operands[0].type, known: operands[0].known)]
  }
  public func gradient(_ g: inout GradientContext) throws(Diagnostic) -> [Cotangent] { [.dense(g.dy)] }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { l.unchanged() }
}

/// The operand itself, as a constant to gradients.
public struct StopGradient: Operation {
  public init() {}
  public static let schema = Schema(
    "StopGradient", inputs: ["input": "T"], outputs: ["output": "T"], types: ["T": .any])
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    [Inference(operands[0].type, known: operands[0].known)]
  }
  public var differentiation: Differentiation { .none("that is its purpose") }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { l.unchanged() }
}

extension LoweringContext {
  /// Operand 0 as it is.
  func unchanged() -> Lowering {
    let type = operandTypes[0]
    var b = builder()
    let result = b.map("Identity", type.elementType, type.extents) { b, axes in
      b.load(.input(0), type.elementType, at: axes)
    }
    return .reshape(b.finish([result]))
  }
}

/// The value itself, under a name of its own.
public func identity(_ x: Output, name: String? = nil) -> Output { x.graph.addOne(Identity(), [x], name: name) }

/// The value itself, through which no gradient flows.
public func stopGradient(_ x: Output, name: String? = nil) -> Output {
  x.graph.addOne(StopGradient(), [x], name: name)
}
