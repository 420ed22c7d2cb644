import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletRewriting
import MartletTensors

/// Has libraries that know no floats of 16 bits compute with `float32` in their place: operands are cast, and the result is
/// cast back. Kernels around the call take the casts on.
///
/// A call that the target claims in its own type stays, and so does one that it would not claim in `float32` either: that is
/// computed by generated code.
public struct WidenLibraryCalls: Pass {
  public let name = "WidenLibraryCalls"
  public init() {}

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    let target = context.target
    var count = 0
    let result = try program.mapFunctions { function, library throws(Diagnostic) in
      let wanted = try Self.calls(in: function, target)
      guard !wanted.isEmpty else { return function }
      count += wanted.count
      var rebuilder = GraphRebuilder(function, library: library)
      /// Values of the new graph as `float32`.
      var widened: [ValueID: Output] = [:]
      return try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
        guard wanted.contains(node) else { return nil }
        let body = rebuilder.source.body
        func insert(_ operation: any Operation, _ operands: [Output], _ suffix: String) -> [Output] {
          rebuilder.graph.insert(
            operation, operands, name: body.name(of: node) + suffix, controls: [], site: body.site(of: node),
            scope: body.scope(of: node)
          ).outputs
        }
        var wide: [Output] = []
        for (i, operand) in operands.enumerated() {
          if !operand.elementType.isHalf {
            wide.append(operand)
          } else if let known = widened[operand.id] {
            wide.append(known)
          } else {
            let constant = operand.operand.constant?.tensor
            let number = constant.map { Const(Tensor(rounding: $0.doubles(), shape: $0.shape, as: .float32)) }
            wide.append(insert(number ?? Cast(to: .float32), constant == nil ? [operand] : [], "/operand_\(i)")[0])
            widened[operand.id] = wide[i]
          }
        }
        let results = insert(body.operation(of: node), wide, "/float32")
        return zip(results, body.results(of: node)).enumerated().map { i, pair in
          let type = body.type(of: pair.1).elementType ?? pair.0.elementType
          guard type != pair.0.elementType else { return pair.0 }
          return insert(Cast(narrowing: type), [pair.0], i == 0 ? "" : "_\(i)")[0]
        }
      }
    }
    for _ in 0..<count { context.count("widen-library-call") }
    return result
  }

  private static func calls(in function: GraphFunction, _ target: any Target) throws(Diagnostic) -> Set<NodeID> {
    let body = function.body
    var found: Set<NodeID> = []
    for node in body.topologicalOrder(results: function.results, targets: function.targets) {
      guard body.results(of: node).contains(where: { body.type(of: $0).elementType?.isHalf == true }),
        body.controls(of: node).isEmpty, !(body.operation(of: node) is any Elementwise),
        !body.traits(of: node).contains(.argument), case .library(let contract, _) = try body.lowering(of: node),
        let device = body.isOnHost(node, beside: target) ? target.host : target,
        !device.claims(contract), device.claims(contract.with(.float32))
      else { continue }
      found.insert(node)
    }
    return found
  }
}
