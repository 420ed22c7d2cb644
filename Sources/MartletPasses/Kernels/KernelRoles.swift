import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletRewriting
import MartletTensors

/// What each node is to the grouping, by its lowering.
enum KernelRoles {
  /// Constants of more elements are loaded, even if all their elements are equal.
  private static let maximumSplatCount = 4096

  static func role(
    of node: NodeID, _ body: GraphStorage, _ target: any Target
  ) throws(Diagnostic) -> KernelGrouping.Role {
    try role(of: node, try body.lowering(of: node), body, target)
  }

  static func role(
    of node: NodeID, _ lowering: Lowering, _ body: GraphStorage, _ target: any Target
  ) throws(Diagnostic) -> KernelGrouping.Role {
    switch lowering {
    case .compute(let program), .view(let program):
      return isTrifle(program) ? .repeated(program) : .stages(program)
    case .reshape(let program), .part(_, let program):
      return .reshape(program)
    case .join(let count, let program):
      return .join(program, count: count)
    case .library(let contract, let reference):
      let device = body.isOnHost(node, beside: target) ? target.host : target
      return device?.claims(contract) == true ? .barrier : .stages(reference)
    case .constant(let constant):
      return filled(constant).map { .repeated($0) } ?? .barrier
    case .composite:
      throw Diagnostic(
        "a composite operation reached kernel formation",
        operation: "\(body.schema(of: node).name) '\(body.name(of: node))'",
        site: body.site(of: node))
    case .libraryOrComposite, .host, .conditional, .loop, .bound, .nothing:
      return .barrier
    }
  }

  /// Whether a program reads at most scalars and does next to nothing: cheaper done again than stored.
  private static func isTrifle(_ program: StageProgram) -> Bool {
    guard program.stages.count == 1, case .map = program.stages[0].kind else { return false }
    return program.inputs.allSatisfy { $0.elementCount == 1 }
      && program.scalars.rows.allSatisfy { $0.operation.isTrifle }
  }

  /// A program without inputs for an array whose elements are all the same.
  private static func filled(_ constant: Constant) -> StageProgram? {
    guard constant.type.elementType.isComputable, (1...maximumSplatCount).contains(constant.elementCount) else {
      return nil
    }
    let tensor = constant.tensor
    let bits = elementBits(tensor)
    guard bits.allSatisfy({ $0 == bits[0] }) else { return nil }
    var b = StageBuilder(inputs: [])
    let stage = b.map("Const", tensor.elementType, tensor.shape) { b, _ in
      b.constant(bits: bits[0], tensor.elementType)
    }
    return b.finish([stage])
  }

  /// The elements as a constant row's payload holds them.
  private static func elementBits(_ tensor: Tensor) -> [Int64] {
    switch tensor.elementType {
    case .float32: tensor.scalars(as: Float.self).map { Int64($0.bitPattern) }
    case .float64: tensor.scalars(as: Double.self).map { Int64(bitPattern: $0.bitPattern) }
    case .float16: tensor.scalars(as: Float16.self).map { Int64($0.bitPattern) }
    case .bfloat16: tensor.scalars(as: BFloat16.self).map { Int64($0.bitPattern) }
    default: (tensor.integers() ?? []).map { Int64($0) }
    }
  }
}

extension ScalarOperation {
  /// Whether the operation takes a cycle or so.
  fileprivate var isTrifle: Bool {
    switch self {
    case .constant, .axis, .parameter, .load, .negate, .absolute, .not, .cast, .add, .subtract, .multiply, .select,
      .equal,
      .notEqual, .less, .lessEqual, .and, .or:
      true
    default: false
    }
  }
}
