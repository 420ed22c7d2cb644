import MartletDiagnostics
import MartletLoopIR
import MartletTensors

/// A group of operations as one kernel. Only the `fused` form of a graph has such nodes; operands and results are those
/// of the stage program.
public struct FusedKernel: Operation {
  /// Tells kernels of one graph apart.
  public var number = 0
  /// The operations inside, for people: "Mul+AddV2+Tanh".
  public var label = ""
  public var program = StageProgram(scalars: ScalarArena(), inputs: [], stages: [], outputs: [])

  public init() {}
  public init(number: Int, label: String, program: StageProgram) {
    (self.number, self.label, self.program) = (number, label, program)
  }

  public static var schema: Schema {
    Schema("_Kernel", inputs: ["inputs": "[Tin]"], outputs: ["outputs": "[Tout]"], traits: [.pure])
  }
  public static var attributeTable: AttributeTable<FusedKernel> {
    [AttributeField("number", \.number), AttributeField("label", \.label)]
  }
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    program.outputs.map { output in
      let type = program.type(of: output)
      return Inference(type.elementType, Shape(type.extents))
    }
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering { .compute(program) }
}
