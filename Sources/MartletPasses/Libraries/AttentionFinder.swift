import MartletDiagnostics
import MartletGraph
import MartletLoopIR
import MartletOperations
import MartletTensors

/// Finds attention in a function: the product of a softmax of scaled and masked scores, themselves a product, with
/// values. Transposes in front of it and behind it become distances between elements.
struct AttentionFinder {
  /// One attention.
  struct Call {
    /// The node whose result it computes.
    var root: NodeID
    var contract: Attention
    /// q, k, v and the mask.
    var operands: [ValueID]
    /// The operations it stands for, in order.
    var members: [NodeID]
  }

  /// A product's operands, and whether the last two axes of each are exchanged.
  private struct Product {
    var operands: [ValueID]
    var isTransposed: [Bool]
  }

  /// Memory, and the distances along the axes of the value that is seen in it.
  private struct View {
    var value: ValueID
    var strides: [Int]
    /// What makes the view, if it is not the value itself.
    var node: NodeID?
  }

  /// The distances of a mask, if there is one.
  private struct MaskView {
    var strides: Attention.Strides?
  }

  /// Scores before the softmax, as an expression.
  private struct Scores {
    var product: NodeID
    var scale: Double
    var mask: ValueID?
    var members: [NodeID]
  }

  private let body: GraphStorage
  private let order: [NodeID]
  private var useCounts: [Int]
  private var users: [ValueID: NodeID] = [:]

  init(_ function: GraphFunction) {
    body = function.body
    order = function.body.topologicalOrder(results: function.results, targets: function.targets)
    useCounts = Array(repeating: 0, count: function.body.valueCount)
    for node in order {
      for operand in body.operands(of: node) {
        useCounts[Int(operand.index)] += 1
        users[operand] = node
      }
      for control in body.controls(of: node) {
        for result in body.results(of: control) { useCounts[Int(result.index)] += 1 }
      }
    }
    // A result of the function counts twice, so that it is no inner value.
    for result in function.results { useCounts[Int(body.resolve(result).index)] += 2 }
  }

  /// All there are, in order.
  func calls() -> [Call] { order.compactMap { call($0) } }

  private func call(_ node: NodeID) -> Call? {
    guard let product = product(node), !product.isTransposed[0],
      let softmax = inner(product.operands[0]), body.operation(of: softmax) is Softmax,
      let scores = scores(under: body.operands(of: softmax)[0]), let first = self.product(scores.product),
      let shape = extents(body.results(of: scores.product)[0]), (2...4).contains(shape.count),
      let mask = mask(scores.mask, shape), let result = extents(body.results(of: node)[0])
    else { return nil }
    let outer = Array(shape.dropLast(2))
    let read = [first.operands[0], first.operands[1], product.operands[1]]
    for operand in read {
      guard let own = extents(operand), Array(own.dropLast(2)) == outer else { return nil }
    }
    guard let q = view(read[0]), let k = view(read[1]), let v = view(read[2]), let left = extents(read[0]) else {
      return nil
    }
    let written = written(body.results(of: node)[0], result)
    let contract = Attention(
      elementType: body.type(of: body.results(of: node)[0]).elementType ?? .float32,
      batch: outer.count > 1 ? outer[0] : 1, heads: outer.last ?? 1, queries: shape[outer.count],
      keys: shape[outer.count + 1], width: first.isTransposed[0] ? left[outer.count] : left[outer.count + 1],
      valueWidth: result[outer.count + 1], scale: Float(scores.scale),
      q: Self.strides(q.strides, isTransposed: first.isTransposed[0]),
      // The product's right matrix has keys as columns.
      k: Self.strides(k.strides, isTransposed: !first.isTransposed[1]),
      v: Self.strides(v.strides, isTransposed: product.isTransposed[1]), result: Self.strides(written.strides),
      mask: mask.strides)
    var members = [q.node, k.node, v.node].compactMap { $0 }
    members.append(scores.product)
    members += scores.members.reversed()
    members += [softmax, node]
    if let node = written.node { members.append(node) }
    var operands = [q.value, k.value, v.value]
    if let mask = scores.mask { operands.append(mask) }
    return Call(root: written.node ?? node, contract: contract, operands: operands, members: members)
  }

  // MARK: Parts

  private func extents(_ value: ValueID) -> [Int]? { body.type(of: value).shape.known }

  /// The node that computes a value which only one other node uses.
  private func inner(_ value: ValueID) -> NodeID? {
    let node = body.producer(of: value)
    return useCounts[Int(value.index)] == 1 && body.controls(of: node).isEmpty ? node : nil
  }

  private func product(_ node: NodeID) -> Product? {
    guard body.controls(of: node).isEmpty else { return nil }
    switch body.operation(of: node) {
    case let product as MatMul:
      return Product(operands: body.operands(of: node), isTransposed: [product.transposeA, product.transposeB])
    case let product as BatchMatMulV2:
      return Product(operands: body.operands(of: node), isTransposed: [product.adjX, product.adjY])
    default: return nil
    }
  }

  private func number(_ value: ValueID) -> Double? {
    guard let tensor = body.operand(value).constant?.tensor, tensor.elementCount == 1, tensor.elementType == .float32
    else { return nil }
    return tensor.scalars(as: Float.self).first.map { Double($0) }
  }

  /// Follows factors and one sum down to a product.
  private func scores(under value: ValueID) -> Scores? {
    var scores = Scores(product: body.producer(of: value), scale: 1, mask: nil, members: [])
    var value = value
    while let node = inner(value) {
      let operands = body.operands(of: node)
      switch body.operation(of: node) {
      case is MatMul, is BatchMatMulV2:
        scores.product = node
        return scores
      case is Mul:
        guard let (factor, other) = split(operands, by: { number($0) }) else { return nil }
        scores.scale *= factor
        value = other
      case is RealDiv:
        guard let divisor = number(operands[1]) else { return nil }
        scores.scale /= divisor
        value = operands[0]
      case is AddV2:
        // Behind a factor the mask would be scaled as well.
        guard scores.mask == nil, scores.scale == 1,
          let (_, other) = split(operands, by: { leadsToProduct($0) ? nil : $0 })
        else { return nil }
        scores.mask = operands[0] == other ? operands[1] : operands[0]
        guard operands[0] != operands[1] else { return nil }
        value = other
      default: return nil
      }
      guard body.type(of: value) == body.type(of: body.results(of: node)[0]) else { return nil }
      scores.members.append(node)
    }
    return nil
  }

  /// The operand for which `property` is something, and the other one.
  private func split<T>(_ operands: [ValueID], by property: (ValueID) -> T?) -> (T, ValueID)? {
    if let found = property(operands[1]) { return (found, operands[0]) }
    return property(operands[0]).map { ($0, operands[1]) }
  }

  /// Whether a value is a product but for factors.
  private func leadsToProduct(_ value: ValueID) -> Bool {
    var value = value
    while let node = inner(value) {
      let operands = body.operands(of: node)
      switch body.operation(of: node) {
      case is MatMul, is BatchMatMulV2: return true
      case is Mul:
        guard let (_, other) = split(operands, by: { number($0) }) else { return false }
        value = other
      case is RealDiv: value = operands[0]
      default: return false
      }
    }
    return false
  }

  // MARK: Memory

  private static func dense(_ extents: [Int]) -> [Int] {
    var strides = Array(repeating: 1, count: extents.count)
    for i in extents.indices.dropLast().reversed() { strides[i] = strides[i + 1] * extents[i + 1] }
    return strides
  }

  private static func strides(_ axes: [Int], isTransposed: Bool = false) -> Attention.Strides {
    let count = axes.count
    let (row, column) = isTransposed ? (axes[count - 1], axes[count - 2]) : (axes[count - 2], axes[count - 1])
    return Attention.Strides(
      batch: count > 3 ? axes[0] : 0, head: count > 2 ? axes[count - 3] : 0, row: row, column: column)
  }

  /// What an operand of a product is read from.
  private func view(_ value: ValueID) -> View? {
    guard let extents = extents(value) else { return nil }
    let node = body.producer(of: value)
    if body.operation(of: node) is Transpose, body.controls(of: node).isEmpty,
      let permutation = body.operand(body.operands(of: node)[1]).integers,
      let source = self.extents(body.operands(of: node)[0])
    {
      let strides = Self.dense(source)
      return View(value: body.operands(of: node)[0], strides: permutation.map { strides[$0] }, node: node)
    }
    return View(value: value, strides: Self.dense(extents), node: nil)
  }

  /// Where the result is written: as the only node that uses it wants it, if that moves whole rows.
  private func written(_ value: ValueID, _ extents: [Int]) -> View {
    guard useCounts[Int(value.index)] == 1, let node = users[value], body.operation(of: node) is Transpose,
      body.controls(of: node).isEmpty, body.operands(of: node)[0] == value,
      let permutation = body.operand(body.operands(of: node)[1]).integers, permutation.last == extents.count - 1
    else { return View(value: value, strides: Self.dense(extents), node: nil) }
    let moved = Self.dense(permutation.map { extents[$0] })
    var strides = moved
    for (i, axis) in permutation.enumerated() { strides[axis] = moved[i] }
    return View(value: body.results(of: node)[0], strides: strides, node: node)
  }

  /// The distances of a mask that is broadcast to the scores; nil where it is not.
  private func mask(_ value: ValueID?, _ scores: [Int]) -> MaskView? {
    guard let value else { return MaskView(strides: nil) }
    guard let own = extents(value), own.count <= scores.count, body.type(of: value).elementType == .float32 else {
      return nil
    }
    let full = Array(repeating: 1, count: scores.count - own.count) + own
    guard zip(full, scores).allSatisfy({ $0 == 1 || $0 == $1 }) else { return nil }
    let strides = zip(Self.dense(full), full).map { stride, extent in extent == 1 ? 0 : stride }
    return MaskView(strides: Self.strides(strides))
  }
}
