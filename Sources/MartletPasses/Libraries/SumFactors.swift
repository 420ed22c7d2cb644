import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletRewriting
import MartletTensors

/// Has matrix products add up a factor that they read anyway, where another operation does that beside them: in training the
/// gradient of the weights is a product of the result's gradient, whose sum is the gradient of the bias.
///
/// What comes out: `LibraryCall` nodes with two results, for those that the target claims. The same numbers are added in another
/// order, as by any library.
public struct SumFactors: Pass {
  public let name = "SumFactors"
  /// Without fusion each operation stays a step of its own; so does an exact session's.
  public var isFusing: Bool

  public init(fusing: Bool = true) { isFusing = fusing }

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    guard isFusing else { return program }
    let target = context.target
    return try program.mapFunctions { function, library throws(Diagnostic) in
      let pairs = try SummedProducts(function, target).pairs
      guard !pairs.isEmpty else { return function }
      var written: [NodeID: [Output]] = [:]
      var rebuilder = GraphRebuilder(function, library: library)
      return try rebuilder.run { rebuilder, node, _ throws(Diagnostic) in
        guard let pair = pairs[node] else { return nil }
        if written[pair.product] == nil {
          context.count("sum-factors")
          written[pair.product] = pair.write(number: context.newNumber(), &rebuilder)
        }
        return written[pair.product].map { [$0[node == pair.product ? 0 : 1]] }
      }
    }
  }
}

/// The products of a function beside which a factor is added up.
private struct SummedProducts {
  struct Pair {
    var product: NodeID
    var sum: NodeID
    var contract: MatrixProduct
    var reference: StageProgram
    /// Which operand of the product is added up.
    var operand: Int
    /// The extents of the sums.
    var extents: [Int]
  }
  /// By each of the two nodes.
  private(set) var pairs: [NodeID: Pair] = [:]

  init(_ function: GraphFunction, _ target: any Target) throws(Diagnostic) {
    let body = function.body
    let order = function.body.topologicalOrder(results: function.results, targets: function.targets)
    var positions: [NodeID: Int] = [:]
    var sums: [ValueID: [NodeID]] = [:]
    for (i, node) in order.enumerated() {
      positions[node] = i
      guard body.resultCount(of: node) == 1, body.controls(of: node).isEmpty, body.operandCount(of: node) > 0,
        !body.traits(of: node).contains(.argument), case .compute(let program) = try body.lowering(of: node),
        program.addsLeadingAxes
      else { continue }
      sums[Self.dense(body.operands(of: node)[0], body), default: []].append(node)
    }
    guard !sums.isEmpty else { return }
    for node in order {
      guard body.resultCount(of: node) == 1, body.operandCount(of: node) >= 2, body.controls(of: node).isEmpty,
        !body.traits(of: node).contains(.argument), !body.isOnHost(node, beside: target),
        case .library(.matrixProduct(let product), let reference) = try body.lowering(of: node), product.batch == 1,
        !product.storesForGradient
      else { continue }
      let operands = body.operands(of: node)
      for (i, factor) in [(1, MatrixProduct.Factor.right), (0, .left)] where product.isStored(factor) {
        let length = factor == .right ? product.n : product.m
        let first = operands.map { positions[body.producer(of: $0)] ?? 0 }.max() ?? 0
        var summed = product
        summed.summedFactor = factor
        let sum = sums[Self.dense(operands[i], body)]?.first { sum in
          let type = body.type(of: body.results(of: sum)[0])
          return pairs[sum] == nil && type.elementType?.arithmeticType == product.resultType.arithmeticType
            && type.shape.known?.last == length
            && (positions[sum] ?? 0) > first && !body.isOnHost(sum, beside: target)
        }
        guard let sum, target.claims(.matrixProduct(summed)) else { continue }
        let pair = Pair(
          product: node, sum: sum, contract: summed, reference: reference, operand: i,
          extents: body.type(of: body.results(of: sum)[0]).shape.known ?? [])
        (pairs[node], pairs[sum]) = (pair, pair)
        break
      }
    }
  }

  /// What a value is the same bytes as.
  private static func dense(_ value: ValueID, _ body: GraphStorage) -> ValueID {
    var value = value
    while case .reshape? = try? body.lowering(of: body.producer(of: value)),
      let extents = body.type(of: value).shape.known,
      case let source = body.operands(of: body.producer(of: value))[0],
      body.type(of: source).shape.known?.last == extents.last
    {
      value = source
    }
    return value
  }
}

extension SummedProducts.Pair {
  /// The call, as the sum's node and the product's have it in their places.
  func write(number: Int, _ rebuilder: inout GraphRebuilder) -> [Output] {
    let body = rebuilder.source.body
    let operands = body.operands(of: product).map { rebuilder.map($0) }
    let types = operands.map { BufferType($0.elementType, $0.shape.known ?? []) }
    let (factor, extents, type) = (types[operand], extents, contract.resultType)
    var b = StageBuilder(inputs: [factor])
    let sums = b.reduce("Sums", type, extents, over: [factor.extents[0]], .sum) { b, axes, inner in
      b.widen(b.load(.input(0), factor.elementType, at: [inner[0], axes[axes.count - 1]]))
    } finish: { b, total in
      b.narrow(total, to: type)
    }
    let parts = [
      StageProgram.Part(program: reference, inputs: operands.indices.prefix(reference.inputs.count).map { .input($0) }),
      StageProgram.Part(program: b.finish([sums]), inputs: [.input(operand)]),
    ]
    let whole = StageProgram.composed(
      parts, inputs: types, outputs: [.part(0, output: 0), .part(1, output: 0)]
    ).fused()
    let call = LibraryCall(
      number: number, label: body.label(of: product) + "+" + body.label(of: sum),
      contract: .matrixProduct(contract), reference: whole)
    func insert(_ operation: any Operation, _ operands: [Output], _ node: NodeID, _ suffix: String) -> [Output] {
      rebuilder.graph.insert(
        operation, operands, name: body.name(of: node) + suffix, controls: [], site: body.site(of: node),
        scope: body.scope(of: node)
      ).outputs
    }
    var results = insert(call, operands, product, "")
    if let wanted = body.type(of: body.results(of: sum)[0]).elementType, wanted != type {
      results[1] = insert(Cast(narrowing: wanted), [results[1]], sum, "")[0]
    }
    return results
  }
}

extension MatrixProduct {
  /// Whether a factor stands in memory with what is summed over first.
  fileprivate func isStored(_ factor: Factor) -> Bool {
    factor == .right ? !transposeB && panelWidth == nil : transposeA
  }
}

extension StageProgram {
  /// Whether the program adds up all but the last axis of its only array.
  fileprivate var addsLeadingAxes: Bool {
    guard stages.count == 1, outputs == [.stage(0)], let input = inputs.first, input.extents.count > 1,
      case .reduce(let reduction) = stages[0].kind, reduction.step.count == 1,
      reduction.extents == Array(input.extents.dropLast()), stages[0].result.elementType == input.elementType,
      input.elementType.isFloatingPoint, let length = input.extents.last, stages[0].extents.last == length,
      stages[0].result.elementCount == length
    else { return false }
    let rank = stages[0].extents.count
    var b = ScalarBuilder(scalars)
    b.axisExtents = stages[0].extents + reduction.extents
    let state = b.state(0, input.elementType.arithmeticType).id
    let indices = reduction.extents.indices.map { b.axis(rank + $0).id } + [b.axis(rank - 1).id]
    func source(_ id: ScalarID, of operation: ScalarOperation) -> ScalarRow? {
      let row = b.arena[id]
      return row.operation == operation ? row : row.operation == .cast ? b.arena[row.operand(0)] : nil
    }
    let step = b.arena[reduction.step[0]]
    guard step.operation == .add, step.operands.contains(state),
      let value = step.operands.first(where: { $0 != state }), let load = source(value, of: .load),
      load.operation == .load, load.condition == .none, Source(payload: load.payload) == .input(0),
      load.operands == indices
    else { return false }
    let finish = b.arena[reduction.finish]
    let isPlain = reduction.finish == state || finish.operation == .cast && finish.operand(0) == state
    let initial = b.arena[reduction.initial[0]]
    return isPlain && initial.operation == .constant && initial.payload == 0
  }
}
