import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletRewriting
import MartletTensors

/// Puts attention, which a graph has as products and a softmax, into one call each: its scores are never stored.
///
/// What comes out: `LibraryCall` nodes, for those that the target claims. The division by a row's sum comes behind the
/// second product, so a result may differ by rounding from that of the graph as written.
public struct FormAttention: Pass {
  public let name = "FormAttention"
  /// Without fusion each operation stays a step of its own; so does an exact session's.
  public var isForming: Bool

  public init(forming: Bool = true) { isForming = forming }

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    guard isForming else { return program }
    let target = context.target
    var number = 0
    let result = try program.mapFunctions { function, library throws(Diagnostic) in
      let found = AttentionFinder(function).calls().filter { target.claims(.attention($0.contract)) }
      guard !found.isEmpty else { return function }
      let calls = Dictionary(uniqueKeysWithValues: found.map { ($0.root, $0) })
      var rebuilder = GraphRebuilder(function, library: library)
      return try rebuilder.run { rebuilder, node, _ throws(Diagnostic) in
        guard let call = calls[node] else { return nil }
        number += 1
        let body = rebuilder.source.body
        let operation = LibraryCall(
          // Apart from the numbers that `AttachEpilogues` and `PackSharedMatrices` give.
          number: -2 * number, label: call.members.map { body.schema(of: $0).name }.joined(separator: "+"),
          contract: .attention(call.contract), reference: try Self.reference(call, body, target))
        return rebuilder.graph.insert(
          operation, call.operands.map { rebuilder.map($0) }, name: body.name(of: node), controls: [],
          site: body.site(of: node), scope: body.scope(of: node)
        ).outputs
      }
    }
    for _ in 0..<number { context.count("form-attention") }
    return result
  }

  /// What the call computes, as stages over its operands.
  private static func reference(
    _ call: AttentionFinder.Call, _ body: GraphStorage, _ target: any Target
  ) throws(Diagnostic) -> StageProgram {
    var composer = KernelComposer(body: body)
    for member in call.members {
      for operand in body.operands(of: member) where !call.operands.contains(operand) {
        // A factor.
        let producer = body.producer(of: operand)
        guard body.traits(of: producer).contains(.constant),
          case .repeated(let program) = try KernelRoles.role(of: producer, body, target)
        else { continue }
        composer.add(producer, program)
      }
      switch try body.lowering(of: member) {
      case .compute(var program), .view(var program), .library(_, reference: var program):
        // Behind what is read stand permutations.
        program.inputs.removeLast(program.inputs.count - program.readInputCount)
        composer.add(member, program)
      default: preconditionFailure("\(body.name(of: member)) is no part of attention")
      }
    }
    let program = composer.program(outputs: [body.results(of: call.root)[0]])
    let wires = composer.inputs.map { input -> StageProgram.Wire in
      guard let place = call.operands.firstIndex(of: input) else {
        preconditionFailure("\(body.name(of: input)) is no operand of attention")
      }
      return .input(place)
    }
    let types = call.operands.map { operand in
      BufferType(body.type(of: operand).elementType ?? .float32, body.type(of: operand).shape.known ?? [])
    }
    return StageProgram.composed(
      [StageProgram.Part(program: program, inputs: wires)], inputs: types, outputs: [.part(0, output: 0)])
  }
}

extension StageProgram {
  /// One more than the number of the last input that is loaded.
  fileprivate var readInputCount: Int {
    scalars.rows.reduce(0) { count, row in
      guard row.operation == .load, case .input(let input) = Source(payload: row.payload) else { return count }
      return max(count, input + 1)
    }
  }
}
