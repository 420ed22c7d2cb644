import MartletDiagnostics
import MartletGraph
import MartletOperations
import MartletRewriting
import MartletTensors

/// Turns a sum of matrix products into one product where both factors of each are stored with the summed dimension
/// first: a₁ᵀ·b₁ + a₂ᵀ·b₂ = [a₁; a₂]ᵀ·[b₁; b₂].
///
/// This is what the gradient of a weight looks like that several steps of a recurrent network use. The summands are
/// never stored, and the one product is large enough for a library to be at its best. Factors that a plan computes in
/// their places cost nothing to join.
///
/// The terms of the same sums are added in another order, as by any library that blocks a product: a result may differ by
/// rounding from that of the graph as written.
public struct MergeProducts: Pass {
  public let name = "MergeProducts"
  /// Whether products of 16-bit floats are rounded before they are added.
  public var isExact: Bool
  public init(exact: Bool = false) { isExact = exact }

  public func run(_ program: Program, _ context: inout PassContext) throws -> Program {
    var count = 0
    let result = try program.mapFunctions { function, library throws(Diagnostic) in
      let sums = try ProductSums(function, exact: isExact)
      guard !sums.isEmpty else { return function }
      var merger = Merger(sums: sums)
      var rebuilder = GraphRebuilder(function, library: library)
      let merged = try rebuilder.run { rebuilder, node, operands throws(Diagnostic) in
        try merger.replace(node, operands, &rebuilder)
      }
      count += merger.count
      return merged
    }
    for _ in 0..<count { context.count("merge-products") }
    return result
  }
}

/// Writes the merged products of one function.
private struct Merger {
  let sums: ProductSums
  private(set) var count = 0
  /// What joins values of the new graph, by these.
  private var joins: [[ValueID]: Output] = [:]

  init(sums: ProductSums) { self.sums = sums }

  mutating func replace(
    _ node: NodeID, _ operands: [Output], _ rebuilder: inout GraphRebuilder
  ) throws(Diagnostic) -> [Output]? {
    let body = rebuilder.source.body
    if let joined = sums.joins[node] {
      let key = operands.prefix(joined.count).map(\.id)
      guard let known = joins[key] else {
        let new = rebuilder.graph.insert(
          body.operation(of: node), operands, name: body.name(of: node), controls: [], site: body.site(of: node),
          scope: body.scope(of: node))
        joins[key] = new.outputs[0]
        return new.outputs
      }
      return [write(node, rebuilder) { shaped(known, as: body.type(of: body.results(of: node)[0])) }]
    }
    guard let sum = sums.sums[node] else { return nil }
    count += 1
    let factors = sum.products.map { product in (rebuilder.map(product.a), rebuilder.map(product.b)) }
    let rest = sum.rest.map { rebuilder.map($0) }
    return [
      write(node, rebuilder) {
        let product = matMul(joined(factors.map(\.0)), joined(factors.map(\.1)), transposeA: true)
        return rest.isEmpty ? product : addN([product] + rest)
      }
    ]
  }

  private func write(_ node: NodeID, _ rebuilder: GraphRebuilder, _ body: () -> Output) -> Output {
    let source = rebuilder.source.body
    return rebuilder.graph.withSite(source.site(of: node)) {
      rebuilder.graph.withReplacementScope(source.name(of: node), body)
    }
  }

  /// Matrices of equal width one below the other.
  private mutating func joined(_ matrices: [Output]) -> Output {
    let key = matrices.map(\.id)
    let height = matrices.reduce(0) { $0 + ($1.shape[0].known ?? 0) }
    let known = joins[key] ?? concat(matrices, axis: 0)
    joins[key] = known
    return shaped(known, as: .tensor(TensorType(known.elementType, [height, matrices[0].shape[1].known ?? 0])))
  }

  private func shaped(_ value: Output, as type: ValueType) -> Output {
    guard value.type != type, let extents = type.shape.known else { return value }
    return reshape(value, extents)
  }
}

/// The sums of products in a function that are worth merging, and the joined values that a merged product could use.
private struct ProductSums {
  struct Product {
    var a: ValueID
    var b: ValueID
  }
  struct Sum {
    var products: [Product]
    /// The other summands.
    var rest: [ValueID]
  }
  /// By the node that adds up last.
  private(set) var sums: [NodeID: Sum] = [:]
  /// The operands that a node joins along the outermost axis.
  private(set) var joins: [NodeID: [ValueID]] = [:]
  var isEmpty: Bool { sums.isEmpty }

  private let body: GraphStorage
  private var useCounts: [Int]
  private var lowerings: LoweringTable
  private let isExact: Bool

  init(_ function: GraphFunction, exact: Bool) throws(Diagnostic) {
    body = function.body
    isExact = exact
    lowerings = LoweringTable(body)
    let order = body.topologicalOrder(results: function.results, targets: function.targets)
    useCounts = Array(repeating: 0, count: body.valueCount)
    for node in order { for operand in body.operands(of: node) { useCounts[Int(operand.index)] += 1 } }
    for result in function.results { useCounts[Int(body.resolve(result).index)] += 1 }

    var isInner = [Bool](repeating: false, count: body.nodeCount)
    for node in order.reversed() where !isInner[Int(node.index)] && isSum(node) {
      let (terms, inner) = terms(of: node)
      var sum = Sum(products: [], rest: [])
      var contracts: [MatrixProduct] = []
      for term in terms {
        if let (product, contract) = try product(term) {
          sum.products.append(product)
          contracts.append(contract)
        } else {
          sum.rest.append(term)
        }
      }
      guard Self.isWorthwhile(contracts) else { continue }
      for other in inner { isInner[Int(other.index)] = true }
      sums[node] = sum
    }
    guard !sums.isEmpty else { return }
    try findJoins(order)
    // Factors that are joined anyway are joined once.
    let orders = Dictionary(
      order.compactMap { joins[$0] }.map { ($0.sorted(), $0) }, uniquingKeysWith: { first, _ in first })
    for (node, sum) in sums {
      guard let wanted = orders[sum.products.map(\.b).sorted()] ?? orders[sum.products.map(\.a).sorted()] else {
        continue
      }
      let isOfB = wanted.sorted() == sum.products.map(\.b).sorted()
      var places: [ValueID: [Int]] = [:]
      for (i, value) in wanted.enumerated().reversed() { places[value, default: []].append(i) }
      var sorted = sum.products.map { (0, $0) }
      for i in sorted.indices {
        sorted[i].0 = places[isOfB ? sorted[i].1.b : sorted[i].1.a]?.popLast() ?? 0
      }
      sums[node]?.products = sorted.sorted { $0.0 < $1.0 }.map(\.1)
    }
  }

  /// Whether the products' results are more to write and read than their factors are to copy, at worst.
  private static func isWorthwhile(_ products: [MatrixProduct]) -> Bool {
    guard products.count > 1 else { return false }
    let moved = products.reduce(0) { $0 + $1.k * ($1.m + $1.n) }
    let saved = products.reduce(0) { $0 + $1.m * $1.n }
    return moved <= saved
  }

  /// Whether a node adds arrays of its result's shape.
  private func isSum(_ node: NodeID) -> Bool {
    let operation = body.operation(of: node)
    guard operation is AddN || operation is AddV2, body.controls(of: node).isEmpty else { return false }
    let type = body.type(of: body.results(of: node)[0])
    guard let elements = type.elementType, elements.isFloatingPoint, !(isExact && elements.isHalf) else { return false }
    return body.operands(of: node).allSatisfy { body.type(of: $0) == type }
  }

  /// The summands under a node, and the sums under it that nothing else uses, which they go through.
  private func terms(of node: NodeID) -> (terms: [ValueID], inner: [NodeID]) {
    var terms: [ValueID] = []
    var inner: [NodeID] = []
    var stack = Array(body.operands(of: node).reversed())
    while let value = stack.popLast() {
      let producer = body.producer(of: value)
      if useCounts[Int(value.index)] == 1, isSum(producer) {
        inner.append(producer)
        stack += body.operands(of: producer).reversed()
      } else {
        terms.append(value)
      }
    }
    return (terms, inner)
  }

  /// A summand as a product that nothing else uses, of factors that are stored with the summed dimension first.
  private mutating func product(_ term: ValueID) throws(Diagnostic) -> (Product, MatrixProduct)? {
    let node = body.producer(of: term)
    guard useCounts[Int(term.index)] == 1, body.operation(of: node) is MatMul, body.controls(of: node).isEmpty,
      case .library(.matrixProduct(let contract), _) = try lowerings.lowering(of: node), contract.transposeA,
      !contract.transposeB
    else { return nil }
    return (Product(a: body.operands(of: node)[0], b: body.operands(of: node)[1]), contract)
  }

  private mutating func findJoins(_ order: [NodeID]) throws(Diagnostic) {
    for node in order {
      let operation = body.operation(of: node)
      guard operation is ConcatV2 || operation is Pack, body.controls(of: node).isEmpty,
        case .join(let count, _) = try lowerings.lowering(of: node)
      else { continue }
      joins[node] = Array(body.operands(of: node).prefix(count))
    }
  }
}
