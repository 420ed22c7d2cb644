import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletRewriting
import MartletTensors

/// Lays out once a matrix that several products of a run multiply by, as the target's code reads it, where each product
/// would lay it out again: the recurrent weights of a network that is unrolled, which every step uses.
///
/// What comes out: a kernel that writes the matrix in panels, and a `LibraryCall` for each product.
public struct PackSharedMatrices: Pass {
  public let name = "PackSharedMatrices"
  /// Without fusion each operation stays a step of its own.
  public var isPacking: Bool

  public init(packing: Bool = true) { isPacking = packing }

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    guard isPacking else { return program }
    let target = context.target
    return try program.mapFunctions { function, library throws(Diagnostic) in
      let products = try SharedMatrices(function, target).products
      guard !products.isEmpty else { return function }
      var packed: [SharedMatrices.Layout: Output] = [:]
      var rebuilder = GraphRebuilder(function, library: library)
      return try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
        guard let product = products[node] else { return nil }
        let body = rebuilder.source.body
        func insert(_ operation: any Operation, _ operands: [Output], _ name: String) -> Output {
          rebuilder.graph.insert(
            operation, operands, name: name, controls: [], site: body.site(of: node), scope: body.scope(of: node)
          ).outputs[0]
        }
        let layout = product.layout
        context.count("pack-shared-matrix")
        let panels =
          packed[layout]
          ?? insert(
            FusedKernel(number: context.newNumber(), label: "Pack", program: layout.packing), [operands[1]],
            body.name(of: node) + "/panels")
        packed[layout] = panels
        var contract = product.contract
        contract.transposeB = false
        contract.panelWidth = layout.width
        let parts = [
          StageProgram.Part(program: layout.unpacking, inputs: [.input(1)]),
          StageProgram.Part(program: product.reference, inputs: [.input(0), .part(0, output: 0)]),
        ]
        let reference = StageProgram.composed(
          parts, inputs: [product.reference.inputs[0], layout.packing.type(of: layout.packing.outputs[0])],
          outputs: [.part(1, output: 0)]
        ).fused()
        return [
          insert(
            LibraryCall(
              number: context.newNumber(), label: body.label(of: node), contract: .matrixProduct(contract),
              reference: reference), [operands[0], panels], body.name(of: node))
        ]
      }
    }
  }
}

/// Which products of a function share their right matrix.
private struct SharedMatrices {
  /// A matrix in panels.
  struct Layout: Hashable {
    var matrix: ValueID
    var isTransposed: Bool
    var k: Int
    var n: Int
    var width: Int

    /// From the matrix to its panels: an array of panels, k and the width.
    var packing: StageProgram {
      var b = StageBuilder(inputs: [BufferType(.float32, isTransposed ? [n, k] : [k, n])])
      let result = b.map("Pack", .float32, [n / width, k, width]) { b, axes in
        let column = b.add(b.multiply(axes[0], b.integer(width)), axes[2])
        return b.load(.input(0), .float32, at: isTransposed ? [column, axes[1]] : [axes[1], column])
      }
      return b.finish([result])
    }

    /// From the panels back to the matrix.
    var unpacking: StageProgram {
      var b = StageBuilder(inputs: [BufferType(.float32, [n / width, k, width])])
      let result = b.map("Unpack", .float32, isTransposed ? [n, k] : [k, n]) { b, axes in
        let (step, column) = isTransposed ? (axes[1], axes[0]) : (axes[0], axes[1])
        let width = b.integer(width)
        return b.load(
          .input(0), .float32, at: [b.floorDivide(column, width), step, b.floorModulo(column, width)])
      }
      return b.finish([result])
    }
  }

  struct Product {
    var layout: Layout
    var contract: MatrixProduct
    var reference: StageProgram
  }

  /// By node, those of matrices that more than one product uses.
  private(set) var products: [NodeID: Product] = [:]

  init(_ function: GraphFunction, _ target: any Target) throws(Diagnostic) {
    let body = function.body
    var candidates: [(node: NodeID, product: Product)] = []
    var counts: [Layout: Int] = [:]
    var lowerings = LoweringTable(body)
    for node in body.topologicalOrder(results: function.results, targets: function.targets) {
      let operands = body.operands(of: node)
      guard operands.count == 2, body.resultCount(of: node) == 1, !(body.operation(of: node) is any Elementwise),
        !body.traits(of: node).contains(.argument), body.controls(of: node).isEmpty,
        !body.traits(of: body.producer(of: operands[1])).contains(.constant),
        case .library(.matrixProduct(let contract), let reference) = try lowerings.lowering(of: node),
        contract.epilogue.isEmpty, contract.panelWidth == nil, reference.inputs.count == 2,
        reference.inputs[1].elementCount == contract.k * contract.n, reference.inputs[1].extents.count == 2,
        let width = target.panelWidth(for: contract), contract.n % width == 0
      else { continue }
      let layout = Layout(
        matrix: operands[1], isTransposed: contract.transposeB, k: contract.k, n: contract.n, width: width)
      candidates.append((node, Product(layout: layout, contract: contract, reference: reference)))
      counts[layout, default: 0] += 1
    }
    for (node, product) in candidates where counts[product.layout, default: 0] > 1 { products[node] = product }
  }
}
