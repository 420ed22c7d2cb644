import MartletDiagnostics
import MartletLoopIR
import MartletTensors

/// A library call that does the work of several operations. Only the `fused` form of a graph has such nodes; operands are
/// those of the contract, its epilogue's included.
public struct LibraryCall: Operation {
  /// Tells calls of one graph apart.
  public var number = 0
  /// The operations inside, for people: "Conv2D+BiasAdd+Relu".
  public var label = ""
  public var contract: LibraryContract?
  /// What is computed.
  public var reference = StageProgram(scalars: ScalarArena(), inputs: [], stages: [], outputs: [])

  public init() {}
  public init(number: Int, label: String, contract: LibraryContract, reference: StageProgram) {
    (self.number, self.label, self.contract, self.reference) = (number, label, contract, reference)
  }

  public static let schema = Schema(
    "_LibraryCall", inputs: ["inputs": "[Tin]"], outputs: ["outputs": "[Tout]"], traits: [.pure])
  public static var attributeTable: AttributeTable<LibraryCall> {
    [AttributeField("number", \.number), AttributeField("label", \.label)]
  }
  public func infer(_ operands: [Operand], _ context: InferenceContext) throws(Diagnostic) -> [Inference] {
    reference.outputs.map { output in
      let type = reference.type(of: output)
      return Inference(type.elementType, Shape(type.extents))
    }
  }
  public func lowering(_ l: inout LoweringContext) throws(Diagnostic) -> Lowering {
    guard let contract else { return .compute(reference) }
    return .library(contract, reference: reference)
  }
}

extension GraphStorage {
  /// The operation of a node, or those inside it: "Mul+AddV2+Tanh".
  public func label(of node: NodeID) -> String {
    switch operation(of: node) {
    case let kernel as FusedKernel: kernel.label
    case let call as LibraryCall: call.label
    default: schema(of: node).name
    }
  }
}
