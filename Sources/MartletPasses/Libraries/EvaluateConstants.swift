import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletRewriting
import MartletTensors

/// Computes on the target, once, what depends on constants alone and was too large for `FoldConstants`: transposed
/// weights, filters with the scale of a batch normalization in them. Large arrays are computed when they are needed; see
/// `ConstantExpressions`.
///
/// Nothing that is larger than the constants it comes from: such a thing is cheaper computed where it is used.
public struct EvaluateConstants: Pass {
  public let name = "EvaluateConstants"
  public init() {}

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    guard let evaluate = context.evaluate else { return program }
    var count = 0
    let result = try program.mapFunctions { function, library in
      let values = try ConstantValues(function)
      let wanted = values.wanted
      guard !wanted.isEmpty else { return function }
      let body = function.body
      var constants: [ValueID: Constant] = [:]
      if let compute = context.constants {
        let found = ConstantExpressions(function, library: library, wanted: wanted, isComputed: values.isComputed).all()
        for (item, constant) in zip(found, try compute(found.map(\.expression))) { constants[item.value] = constant }
      }
      let rest = wanted.filter { constants[$0] == nil }
      if !rest.isEmpty {
        let main = GraphFunction(name: "constants", body: body, arguments: [], results: rest)
        for (value, tensor) in zip(rest, try evaluate(Program(main: main, library: library))) {
          constants[value] = Constant(tensor)
        }
      }
      count += wanted.count
      var rebuilder = GraphRebuilder(function, library: library)
      return try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
        let results = rebuilder.source.body.results(of: node)
        guard results.contains(where: { constants[$0] != nil }) else { return nil }
        return results.enumerated().map { i, result in
          // A result that nobody reads needs a place only.
          let constant = constants[result] ?? Constant(Tensor(repeating: 0 as Float, shape: []))
          return rebuilder.graph.insert(
            Const(constant), [], name: i == 0 ? body.name(of: node) : "\(body.name(of: node))_\(i)", controls: [],
            site: body.site(of: node), scope: body.scope(of: node)
          ).outputs[0]
        }
      }
    }
    for _ in 0..<count { context.count("evaluate-constants") }
    return result
  }
}

/// Which values of a function depend on constants alone.
private struct ConstantValues {
  /// The values to compute: those that something else reads.
  private(set) var wanted: [ValueID] = []
  /// Whether a node depends on constants alone and is none.
  let isComputed: (NodeID) -> Bool

  init(_ function: GraphFunction) throws(Diagnostic) {
    let body = function.body
    let order = body.topologicalOrder(results: function.results, targets: function.targets)
    /// For each node that depends on constants alone the bytes of those, else nil.
    var bytes = [Int?](repeating: nil, count: body.nodeCount)
    for node in order { bytes[Int(node.index)] = try Self.constantBytes(node, body, bytes) }
    isComputed = { [bytes] in bytes[Int($0.index)] != nil && !body.traits(of: $0).contains(.constant) }
    var isWanted: Set<ValueID> = []
    func want(_ value: ValueID) {
      let producer = body.producer(of: value)
      guard bytes[Int(producer.index)] != nil, !body.traits(of: producer).contains(.constant) else { return }
      if isWanted.insert(value).inserted { wanted.append(value) }
    }
    for node in order where bytes[Int(node.index)] == nil {
      for operand in body.operands(of: node) { want(operand) }
    }
    for result in function.results { want(body.resolve(result)) }
    // All of a node's results that are read must be there, so a node is replaced as a whole.
    wanted.sort()
  }

  /// The bytes of the constants that a node comes from; nil if it comes from anything else or is larger.
  private static func constantBytes(
    _ node: NodeID, _ body: GraphStorage, _ bytes: [Int?]
  ) throws(Diagnostic) -> Int? {
    let traits = body.traits(of: node)
    if traits.contains(.constant) {
      return body.type(of: body.results(of: node)[0]).tensor.flatMap { Self.byteCount($0) }
    }
    guard traits.contains(.pure), !traits.contains(.argument), !traits.contains(.placeholder),
      body.controls(of: node).isEmpty, body.operandCount(of: node) > 0
    else { return nil }
    var total = 0
    for operand in body.operands(of: node) {
      guard let known = bytes[Int(body.producer(of: operand).index)] else { return nil }
      total += known
    }
    var own = 0
    for result in body.results(of: node) {
      guard let type = body.type(of: result).tensor, type.elementType.isComputable, let size = byteCount(type)
      else { return nil }
      own += size
    }
    guard own <= total else { return nil }
    switch try body.lowering(of: node) {
    case .compute(let program), .view(let program), .library(_, reference: let program):
      return program.canFail || program.scalars.rows.contains { $0.operation == .parameter } ? nil : total
    case .reshape, .part, .join: return total
    default: return nil
    }
  }

  private static func byteCount(_ type: TensorType) -> Int? {
    type.shape.known.map { $0.reduce(type.elementType.byteWidth, *) }
  }
}
