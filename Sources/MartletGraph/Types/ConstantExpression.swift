import MartletLoopIR
import MartletTensors

/// An array that is computed from constants alone.
public struct ConstantExpression: Sendable {
  /// What computes it, its one result. The arguments are constants.
  public var program: Program
  /// The arguments, in order.
  public var constants: [Constant]
  public var type: TensorType
  /// What the program computes: the same for programs that give the same of the same arguments.
  public var structure: [Part]

  /// Something that a part of the program is applied to: a result of an earlier part.
  public struct Value: Hashable, Sendable {
    public var part: Int
    public var result: Int
    public init(part: Int, result: Int) { (self.part, self.result) = (part, result) }
  }

  public enum Part: Hashable, Sendable {
    case argument(TensorType)
    case constant(Constant)
    case stages(StructuralKey, operands: [Value])
    case result(Value)
  }

  public init(program: Program, constants: [Constant], type: TensorType, structure: [Part]) {
    (self.program, self.constants, self.type, self.structure) = (program, constants, type, structure)
  }
}
