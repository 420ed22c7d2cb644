import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletRewriting
import MartletTensors

/// Cuts out of a function what computes large arrays from constants alone, each by itself.
///
/// Constants of floats become arguments, so that filters of one shape are scaled by one program.
struct ConstantExpressions {
  private let body: GraphStorage
  private let library: FunctionLibrary
  /// For each wanted value the nodes that compute it and no other, in order; nil where there is no such thing.
  private var cones: [[NodeID]?] = []
  private let wanted: [ValueID]

  /// Expressions of more nodes, and of arrays with no more elements, are computed with all the others.
  private static let (maximumNodeCount, minimumElementCount) = (64, FoldConstants.maximumCount + 1)

  /// - Parameter isComputed: whether a node depends on constants alone and is none.
  init(_ function: GraphFunction, library: FunctionLibrary, wanted: [ValueID], isComputed: (NodeID) -> Bool) {
    body = function.body
    self.library = library
    self.wanted = wanted
    var owners = [Int32](repeating: -1, count: body.nodeCount)
    var isShared = [Bool](repeating: false, count: wanted.count)
    var positions: [NodeID: Int] = [:]
    for (i, node) in body.topologicalOrder(results: wanted, targets: []).enumerated() { positions[node] = i }
    for (i, value) in wanted.enumerated() {
      var cone: [NodeID] = []
      var stack = [body.producer(of: value)]
      while let node = stack.popLast() {
        let owner = owners[Int(node.index)]
        guard owner < 0 else {
          if owner != i { (isShared[i], isShared[Int(owner)]) = (true, true) }
          continue
        }
        owners[Int(node.index)] = Int32(i)
        cone.append(node)
        stack += body.operands(of: node).map { body.producer(of: $0) }.filter(isComputed)
      }
      let count = body.type(of: value).tensor?.shape.known?.reduce(1, *) ?? 0
      let isFit = cone.count <= Self.maximumNodeCount && count >= Self.minimumElementCount
      cones.append(isFit ? cone.sorted { positions[$0] ?? 0 < positions[$1] ?? 0 } : nil)
    }
    for i in cones.indices where isShared[i] { cones[i] = nil }
  }

  /// The expressions, with the values that they compute.
  func all() -> [(value: ValueID, expression: ConstantExpression)] {
    zip(wanted, cones).compactMap { value, cone in
      cone.flatMap { expression(of: value, $0) }.map { (value, $0) }
    }
  }

  /// Nil for what comes out otherwise when it is not seen which constants there are.
  private func expression(of value: ValueID, _ nodes: [NodeID]) -> ConstantExpression? {
    let graph = Graph(GraphStorage(), library: library)
    var values: [ValueID: (output: Output, place: ConstantExpression.Value)] = [:]
    var structure: [ConstantExpression.Part] = []
    var arguments: [Output] = []
    var constants: [Constant] = []
    for node in nodes {
      for operand in body.operands(of: node) where values[operand] == nil {
        guard let constant = body.constant(operand) else { return nil }
        let source = body.producer(of: operand)
        let output: Output
        if constant.type.elementType.isFloatingPoint, constant.elementCount > 1 {
          output =
            graph.add(
              Argument(index: arguments.count, type: .tensor(constant.type)), name: body.name(of: source),
              site: body.site(of: source))[0]
          structure.append(.argument(constant.type))
          arguments.append(output)
          constants.append(constant)
        } else {
          output =
            graph.insert(
              Const(constant), [], name: body.name(of: source), controls: [], site: body.site(of: source),
              scope: body.scope(of: source)
            ).outputs[0]
          structure.append(.constant(constant))
        }
        values[operand] = (output, ConstantExpression.Value(part: structure.count - 1, result: 0))
      }
      let operands = body.operands(of: node).compactMap { values[$0] }
      let new = graph.insert(
        body.operation(of: node), operands.map(\.output), name: body.name(of: node), controls: [],
        site: body.site(of: node), scope: body.scope(of: node))
      guard graph.diagnostics.isEmpty, let stages = stages(of: new.node, graph.storage) else { return nil }
      structure.append(.stages(stages, operands: operands.map(\.place)))
      for (i, (old, output)) in zip(body.results(of: node), new.outputs).enumerated() {
        guard output.type == body.type(of: old) else { return nil }
        values[old] = (output, ConstantExpression.Value(part: structure.count - 1, result: i))
      }
    }
    guard let result = values[value], let type = body.type(of: value).tensor else { return nil }
    structure.append(.result(result.place))
    let main = GraphFunction(
      name: "constant", body: graph.storage, arguments: arguments.map(\.id), results: [result.output.id])
    return ConstantExpression(
      program: Program(main: main, library: library), constants: constants, type: type, structure: structure)
  }

  private func stages(of node: NodeID, _ storage: GraphStorage) -> StructuralKey? {
    switch try? storage.lowering(of: node) {
    case .compute(let program), .view(let program), .library(_, reference: let program), .reshape(let program),
      .part(_, let program), .join(_, .some(let program)):
      program.structuralKey
    default: nil
    }
  }
}
